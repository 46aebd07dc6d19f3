//! Server-sent events out of a body, in batches.
//!
//! One item is everything that can be decoded without waiting for the network again, so a reader turns one network
//! read into one batch. The rules of the format are in `sse_decoder`.
//! The end of the stream says that the connection ended cleanly, not that the reply is complete: only the provider's
//! own terminal event says that. Not here: reconnecting (no model provider can resume a reply), JSON.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::adapter::BodyStream;
use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::sse_decoder::SseDecoder;
use crate::sse_event::{SseEvent, SseLimits};
use crate::timed::after;
use crate::timeouts::Timeouts;

/// The events of one body, in batches that are never empty.
///
/// The first error is the last item; events decoded before it come first, as a batch of their own. Dropping the
/// stream drops the body, which closes the connection.
pub struct SseStream {
    /// `None` after the end or an error.
    body: Option<BodyStream>,
    decoder: SseDecoder,
    limits: SseLimits,
    progress: Option<Progress>,
    /// An error that waits for the events before it to be taken.
    pending_error: Option<TransportError>,
}

/// The clock that pings do not reset.
struct Progress {
    within: Duration,
    is_progress: fn(&SseEvent) -> bool,
    due: Instant,
    timer: Pin<Box<Sleep>>,
}

impl SseStream {
    /// Decodes `body` within `limits`.
    #[must_use]
    pub fn new(body: BodyStream, limits: SseLimits) -> Self {
        Self {
            body: Some(body),
            decoder: SseDecoder::new(limits),
            limits,
            progress: None,
            pending_error: None,
        }
    }

    /// Ends the stream with `ProgressTimeout` when no event for which `is_progress` holds comes within
    /// `timeouts.progress_ms` of the one before it, or of now.
    #[must_use]
    pub fn with_progress_rule(
        mut self,
        timeouts: &Timeouts,
        is_progress: fn(&SseEvent) -> bool,
    ) -> Self {
        let within = timeouts.progress();
        let due = after(Instant::now(), within);
        let timer = Box::pin(sleep_until(due));
        self.progress = Some(Progress { within, is_progress, due, timer });
        self
    }

    /// How many lines so far had bytes that are not UTF-8, which became U+FFFD.
    #[must_use]
    pub fn repaired_lines(&self) -> u64 {
        self.decoder.repaired_lines()
    }

    /// The next event; none at the end and after an error, which is pending then.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<SseEvent>> {
        loop {
            match self.decoder.next_event() {
                Ok(Some(event)) => return Poll::Ready(Some(event)),
                Ok(None) => {}
                Err(error) => {
                    self.fail(error);
                    return Poll::Ready(None);
                }
            }
            let Some(body) = self.body.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(body.as_mut().poll_next(context)) {
                Some(Ok(read)) => self.decoder.push(read),
                Some(Err(error)) => self.fail(error),
                // What is left is an event without its blank line: by the rules it is dropped.
                None => self.body = None,
            }
        }
    }

    /// Drops the body and keeps `error` as the last item.
    fn fail(&mut self, error: TransportError) {
        self.body = None;
        self.pending_error = Some(error);
    }

    fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(progress) = self.progress.as_mut() else {
            return Poll::Pending;
        };
        if progress.timer.deadline() != progress.due {
            progress.timer.as_mut().reset(progress.due);
        }
        progress.timer.as_mut().poll(context)
    }
}

impl Stream for SseStream {
    type Item = Result<Vec<SseEvent>, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(error) = self.pending_error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.body.is_none() {
            return Poll::Ready(None);
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0_usize;
        let mut is_waiting = false;
        while batch.len() < self.limits.batch_events_max
            && batch_bytes < self.limits.batch_bytes_max
        {
            match self.poll_event(context) {
                Poll::Ready(Some(event)) => {
                    batch_bytes = batch_bytes.saturating_add(event.data.len());
                    batch.push(event);
                }
                Poll::Ready(None) => break,
                Poll::Pending => {
                    is_waiting = true;
                    break;
                }
            }
        }
        if let Some(progress) = self.progress.as_mut()
            && batch.iter().any(progress.is_progress)
        {
            progress.due = after(Instant::now(), progress.within);
        }
        if is_waiting && self.poll_progress(context).is_ready() {
            is_waiting = false;
            let kind = TransportErrorKind::ProgressTimeout;
            self.fail(TransportError::new(kind, TransportPhase::Streaming));
        }
        if !batch.is_empty() {
            return Poll::Ready(Some(Ok(batch)));
        }
        match self.pending_error.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None if is_waiting => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl fmt::Debug for SseStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SseStream")
            .field("limits", &self.limits)
            .field("repaired_lines", &self.repaired_lines())
            .field("is_done", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
