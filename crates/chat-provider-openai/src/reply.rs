//! A streamed reply as it comes: network reads in, batches of the port's events out.
//!
//! It ends after `[DONE]`, or where the connection ends; an error after the finish reason changes
//! nothing, the reply is whole. Dropping it closes the connection, unless the reply is over and the
//! connection can be used again.

use std::sync::Arc;
use std::time::Duration;

use chat_provider::{ProviderError, ProviderEvent};
use chat_transport::{Failure, SseStream, TransportErrorKind, TransportPhase};
use futures::StreamExt;

use crate::decode::{Decoder, Stop};
use crate::error::CallError;
use crate::provider::Shared;

/// How long the end of the body is waited for after `[DONE]`: it is nearly always there already, and
/// only a body that was read to its end leaves its connection to the next call.
const DRAIN_MS: u64 = 50;

/// How long usage and `[DONE]` are waited for after the finish reason: they come at once, or never.
const AFTER_FINISH_MS: u64 = 5_000;

/// How far a reply has been read.
#[derive(Debug)]
enum Stage {
    Open,
    /// This is told next, then it is over.
    Failing(CallError),
    /// `[DONE]` was read.
    Draining,
    Over,
}

/// A reply being read.
#[derive(Debug)]
pub(crate) struct Reply {
    shared: Arc<Shared>,
    model: String,
    request_id: Option<String>,
    events: SseStream,
    pub(crate) decoder: Decoder,
    stage: Stage,
}

impl Reply {
    pub(crate) fn new(
        shared: Arc<Shared>,
        model: String,
        request_id: Option<String>,
        events: SseStream,
        decoder: Decoder,
    ) -> Self {
        Self { shared, model, request_id, events, decoder, stage: Stage::Open }
    }

    /// Reads up to the commit point: the first delta, or a finish without any.
    ///
    /// # Errors
    /// Whatever ended it before, an end without any delta included.
    pub(crate) async fn first(&mut self) -> Result<Vec<ProviderEvent>, CallError> {
        let mut first = Vec::new();
        while !self.decoder.has_delta && !self.decoder.is_finished {
            match self.read().await {
                Some(read) => first.append(&mut read?),
                None => return Err(self.shared.cut(&self.model)),
            }
        }
        Ok(first)
    }

    /// The next batch; none at the end.
    async fn read(&mut self) -> Option<Result<Vec<ProviderEvent>, CallError>> {
        // Ends: every turn reads from a body that is bounded in time.
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Open => {}
                Stage::Failing(error) => return Some(Err(error)),
                Stage::Draining => {
                    self.drain().await;
                    return None;
                }
                Stage::Over => return None,
            }
            let read = if self.decoder.is_finished {
                let wait = Duration::from_millis(AFTER_FINISH_MS);
                tokio::time::timeout(wait, self.events.next()).await.ok()?
            } else {
                self.events.next().await
            };
            let read = match read? {
                Ok(read) => read,
                Err(_) if self.decoder.is_finished => return None,
                Err(error) => {
                    return Some(Err(self.shared.server.transport_error(&self.model, &error)));
                }
            };
            let batch = self.decoder.batch(&read);
            self.stage = match batch.stop {
                None => Stage::Open,
                Some(Stop::Done) => Stage::Draining,
                Some(_) if self.decoder.is_finished => Stage::Over,
                Some(Stop::Refused(vendor)) => {
                    let request_id = self.request_id.as_deref();
                    let server = &self.shared.server;
                    Stage::Failing(server.refused_in_stream(&self.model, &vendor, request_id))
                }
                Some(Stop::Malformed(what)) => Stage::Failing(self.shared.server.malformed(what)),
            };
            if !batch.events.is_empty() {
                return Some(Ok(batch.events));
            }
        }
    }

    /// The next item of the stream that the caller reads, after the commit point.
    pub(crate) async fn next(
        mut self,
    ) -> Option<(Result<Vec<ProviderEvent>, ProviderError>, Self)> {
        match self.read().await {
            Some(Ok(events)) => Some((Ok(events), self)),
            Some(Err(error)) => {
                let error = error.committed();
                self.shared.record_failure(&error.failure);
                Some((Err(*error.error), self))
            }
            None => {
                if !self.decoder.is_finished {
                    self.shared.record_failure(&Failure {
                        is_committed: true,
                        ..Failure::new(TransportErrorKind::Closed, TransportPhase::Streaming)
                    });
                }
                None
            }
        }
    }

    async fn drain(&mut self) {
        let wait = Duration::from_millis(DRAIN_MS);
        let end = async { while let Some(Ok(_)) = self.events.next().await {} };
        // Late: the connection is closed instead, nothing else depends on it.
        let _ = tokio::time::timeout(wait, end).await;
    }
}
