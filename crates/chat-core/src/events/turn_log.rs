//! A running turn's events on their way to the log, one checkpoint at a time.
//!
//! Readers see an event at once; the log has it at the latest one checkpoint later. While a
//! checkpoint is being written the next one fills up, and when that is due too the turn waits:
//! live events run at most one checkpoint ahead. The last events go with the turn's close.

use std::sync::Arc;

use chat_persist::{Checkpoint, EventSegment, Fence, PersistError, PersistenceAdapter};
use chat_types::{ContentPart, EventKind, PartAssembler, TurnEvent};
use futures::future::BoxFuture;
use tokio::time::{Duration, Instant};

use crate::events::live::LiveTurn;
use crate::patience::persistently;

/// How much may wait before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) bytes: usize,
}

type Written = (u64, Result<bool, PersistError>);

/// The writing end of a turn's events.
pub(crate) struct TurnLog {
    live: Arc<LiveTurn>,
    store: Arc<dyn PersistenceAdapter>,
    fence: Fence,
    pace: Pace,
    assembler: PartAssembler,
    pending: Vec<Arc<TurnEvent>>,
    pending_bytes: usize,
    due_at: Option<Instant>,
    streaming_step: Option<u32>,
    writing: Option<BoxFuture<'static, Written>>,
}

impl TurnLog {
    pub(crate) fn new(
        live: Arc<LiveTurn>,
        store: Arc<dyn PersistenceAdapter>,
        fence: Fence,
        pace: Pace,
    ) -> Self {
        Self {
            live,
            store,
            fence,
            pace,
            assembler: PartAssembler::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            due_at: None,
            streaming_step: None,
            writing: None,
        }
    }

    /// Shows events to all readers and queues them for the log.
    pub(crate) fn append(&mut self, kinds: Vec<EventKind>) {
        if kinds.is_empty() {
            return;
        }
        for kind in &kinds {
            self.assembler.apply(kind);
            self.pending_bytes = self.pending_bytes.saturating_add(text_bytes(kind));
        }
        self.pending.extend(self.live.feed.append(kinds));
        if self.due_at.is_none() {
            self.due_at = Some(Instant::now() + self.pace.interval);
        }
    }

    /// The next checkpoint carries the first delta of this step.
    pub(crate) fn mark_streaming(&mut self, step: u32) {
        self.streaming_step = Some(step);
    }

    /// The reply so far, as a message keeps it.
    pub(crate) fn parts(&self) -> Vec<ContentPart> {
        self.assembler.stored_parts()
    }

    /// A checkpoint is being written and the next one is full: read no more until it is done.
    pub(crate) fn is_full(&self) -> bool {
        self.writing.is_some() && self.pending_bytes >= self.pace.bytes
    }

    /// Waits for whatever the log needs next and does it: starts a checkpoint that is due, or
    /// finishes the one under way. Returns whether a stop was asked for. May be dropped and
    /// called again; the write under way is kept.
    pub(crate) async fn advance(&mut self) -> Result<bool, PersistError> {
        if self.writing.is_none() {
            match self.due_at {
                Some(due_at) if self.pending_bytes < self.pace.bytes => {
                    tokio::time::sleep_until(due_at).await;
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
            self.start_writing()?;
        }
        self.finish_writing().await
    }

    /// Finishes the write under way, if there is one.
    pub(crate) async fn finish_writing(&mut self) -> Result<bool, PersistError> {
        let Some(writing) = self.writing.as_mut() else {
            return Ok(false);
        };
        let (last_seq, outcome) = writing.await;
        self.writing = None;
        if outcome.is_ok() {
            self.live.feed.mark_durable(last_seq);
        }
        outcome
    }

    /// Takes what is not in the log, for the turn's close. Call `finish_writing` first.
    pub(crate) fn take_pending(&mut self) -> Vec<Arc<TurnEvent>> {
        self.pending_bytes = 0;
        self.due_at = None;
        std::mem::take(&mut self.pending)
    }

    fn start_writing(&mut self) -> Result<(), PersistError> {
        let events = self.take_pending();
        let segment = EventSegment::encode(&events)?;
        let last_seq = segment.last_seq;
        let checkpoint = Checkpoint { segment, streaming_step: self.streaming_step.take() };
        let store = Arc::clone(&self.store);
        let fence = self.fence.clone();
        self.writing = Some(Box::pin(async move {
            let outcome = persistently(|| store.checkpoint(&fence, &checkpoint)).await;
            (last_seq, outcome)
        }));
        Ok(())
    }
}

/// How much text an event adds to a reply.
pub(crate) fn text_bytes(kind: &EventKind) -> usize {
    match kind {
        EventKind::TextDelta { text, .. } | EventKind::ReasoningDelta { text, .. } => text.len(),
        EventKind::ToolCallDelta { arguments, .. } => arguments.len(),
        _ => 0,
    }
}
