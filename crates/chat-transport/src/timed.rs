//! A layer that keeps the time-outs of a request around any adapter.
//!
//! Order of layers: retry (outside) → time-outs → adapter (inside), so every attempt has its own time.
//! Not here: `connect_ms` (only who connects can keep it) and `progress_ms` (`sse`).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::adapter::{BodyStream, TransportAdapter, TransportRequest, TransportResponse};
use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::timeouts::Timeouts;

/// Keeps `first_byte_ms`, `idle_ms` and `total_ms` of every request sent through it.
///
/// A time-out drops the inner future or body, which closes the connection.
#[derive(Debug, Clone)]
pub struct TimedTransport<T> {
    inner: T,
}

impl<T> TimedTransport<T> {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: T) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<T: TransportAdapter> TransportAdapter for TimedTransport<T> {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        let timeouts = request.timeouts;
        let started = Instant::now();
        let total_at = after(started, timeouts.total());
        let first_byte_at = after(started, timeouts.first_byte());
        let head_at = first_byte_at.min(total_at);
        let Ok(response) = timeout_at(head_at, self.inner.send(request)).await else {
            let kind = if head_at == total_at {
                TransportErrorKind::TotalTimeout
            } else {
                TransportErrorKind::FirstByteTimeout
            };
            // How much the inner adapter had written is not known here, so the worst is assumed.
            return Err(TransportError::new(kind, TransportPhase::Ambiguous));
        };
        let response = response?;
        let body = Box::pin(TimedBody::new(response.body, timeouts, total_at));
        Ok(TransportResponse { body, ..response })
    }
}

/// The instant `wait` after `start`; a wait no clock can hold ends in a year, since every wait must end.
pub(crate) fn after(start: Instant, wait: Duration) -> Instant {
    start.checked_add(wait).unwrap_or_else(|| start + Duration::from_secs(31_536_000))
}

/// A body whose reads come within `idle_ms` of each other and before `total_at`.
struct TimedBody {
    inner: Option<BodyStream>,
    timeouts: Timeouts,
    total_at: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether `timer` was set for the read that is being waited for.
    is_timer_set: bool,
}

impl TimedBody {
    fn new(inner: BodyStream, timeouts: Timeouts, total_at: Instant) -> Self {
        Self {
            inner: Some(inner),
            timeouts,
            total_at,
            timer: Box::pin(sleep_until(total_at)),
            is_timer_set: false,
        }
    }

    fn fail(&mut self, kind: TransportErrorKind) -> Poll<Option<Result<Bytes, TransportError>>> {
        self.inner = None;
        Poll::Ready(Some(Err(TransportError::new(kind, TransportPhase::Streaming))))
    }
}

impl Stream for TimedBody {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        match inner.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(read))) => {
                // The time between two reads is the reader's own pace and counts for nothing but the total.
                self.is_timer_set = false;
                if Instant::now() >= self.total_at {
                    return self.fail(TransportErrorKind::TotalTimeout);
                }
                Poll::Ready(Some(Ok(read)))
            }
            Poll::Ready(end) => {
                self.inner = None;
                Poll::Ready(end)
            }
            Poll::Pending => {
                if !self.is_timer_set {
                    let wake_at = after(Instant::now(), self.timeouts.idle()).min(self.total_at);
                    self.timer.as_mut().reset(wake_at);
                    self.is_timer_set = true;
                }
                ready!(self.timer.as_mut().poll(context));
                if self.timer.deadline() >= self.total_at {
                    self.fail(TransportErrorKind::TotalTimeout)
                } else {
                    self.fail(TransportErrorKind::IdleTimeout)
                }
            }
        }
    }
}
