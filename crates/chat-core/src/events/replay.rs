//! Reading a turn's events: live from the feed, older ones from the log, never with a silent gap.
//!
//! A cursor that lies beyond what survived a crash, or in a log that has expired, gets `reset`
//! with what holds now, and goes on from there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chat_persist::{EventPage, PersistError, PersistErrorKind, PersistenceAdapter, TurnRecord};
use chat_types::{
    Cursor, EVENT_VERSION, EventKind, PartAssembler, ResetReason, Scope, TurnEvent, TurnId,
};
use futures::stream::{BoxStream, Stream, StreamExt};

use crate::events::feed::Read;
use crate::events::live::LiveTurn;
use crate::money::billing;
use crate::{Result, TurnError};

/// Events handed to a reader at a time: bounds what a slow reader holds.
const EVENTS_PER_READ: usize = 256;

/// Segments read from the log at a time, for the same reason.
const SEGMENTS_PER_READ: u32 = 16;

/// A sequence number that no turn reaches and every engine can store.
const AFTER_EVERYTHING: u64 = u64::MAX >> 1;

/// How often the log of another process's turn is looked at: half a checkpoint.
const POLL: Duration = Duration::from_millis(100);

/// A turn's events in order; ends after the terminal one.
pub struct EventStream {
    events: BoxStream<'static, Result<Arc<TurnEvent>>>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Result<Arc<TurnEvent>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(cx)
    }
}

/// Reads the turn from `live` if it runs in this process, from the log before and after that.
pub(crate) async fn open(
    store: Arc<dyn PersistenceAdapter>,
    live: Option<Arc<LiveTurn>>,
    scope: Scope,
    turn: TurnId,
    cursor: Cursor,
) -> Result<EventStream> {
    let live = live.filter(|live| live.scope == scope);
    if live.is_none() {
        // Nothing comes after it: this only checks that the scope has this turn.
        store.events(&scope, &turn, AFTER_EVERYTHING, 1).await?;
    }
    let reader = Reader { store, scope, turn, cursor, live, ready: VecDeque::new(), done: false };
    let events = futures::stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    });
    Ok(EventStream { events: events.boxed() })
}

struct Reader {
    store: Arc<dyn PersistenceAdapter>,
    scope: Scope,
    turn: TurnId,
    cursor: Cursor,
    live: Option<Arc<LiveTurn>>,
    ready: VecDeque<Arc<TurnEvent>>,
    done: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Arc<TurnEvent>>> {
        while self.ready.is_empty() {
            if self.done {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.done = true;
                return Some(Err(error));
            }
        }
        let event = self.ready.pop_front()?;
        self.cursor = event.cursor();
        self.done |= event.event.is_terminal();
        Some(Ok(event))
    }

    /// Gets at least one event ready, or waits, or finds that there are no more.
    async fn fill(&mut self) -> Result<()> {
        let Some(live) = self.live.clone() else {
            return self.fill_from_log().await;
        };
        let changed = live.feed.changed();
        match live.feed.read_after(self.cursor.seq, EVENTS_PER_READ) {
            Read::Events(events) => self.ready.extend(events),
            Read::Behind => self.fill_from_log().await?,
            Read::Nothing => changed.await,
            // Ended here, or taken over by another owner: the log knows which.
            Read::Over => self.live = None,
        }
        Ok(())
    }

    async fn fill_from_log(&mut self) -> Result<()> {
        let page =
            self.store.events(&self.scope, &self.turn, self.cursor.seq, SEGMENTS_PER_READ).await?;
        if page.expired {
            return self.replay_from_message().await;
        }
        if self.cursor.epoch != 0
            && page.epoch > self.cursor.epoch
            && self.reset_if_beyond(&page).await?
        {
            return Ok(());
        }
        for segment in &page.segments {
            let events = segment.decode()?.into_iter().filter(|event| event.seq > self.cursor.seq);
            self.ready.extend(events.map(Arc::new));
        }
        if self.ready.is_empty() {
            if page.state.is_some_and(|state| state.is_terminal())
                && self.cursor.seq >= page.last_seq
            {
                self.done = true;
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// The turn was taken over. If this reader has seen events that did not survive, it gets a
    /// snapshot of what did, placed right before the first event of the new owner.
    async fn reset_if_beyond(&mut self, page: &EventPage) -> Result<bool> {
        let mut survived = PartAssembler::new();
        let mut survived_seq = 0;
        let mut after_seq = 0;
        'log: loop {
            let page =
                self.store.events(&self.scope, &self.turn, after_seq, SEGMENTS_PER_READ).await?;
            let Some(last) = page.segments.last() else {
                break;
            };
            after_seq = last.last_seq;
            for segment in &page.segments {
                for event in segment.decode()? {
                    if event.epoch > self.cursor.epoch {
                        break 'log;
                    }
                    survived.apply(&event.event);
                    survived_seq = event.seq;
                }
            }
        }
        if self.cursor.seq <= survived_seq {
            return Ok(false);
        }
        let parts = survived.stored_parts();
        self.ready.push_back(self.synthetic(
            page.epoch,
            survived_seq,
            EventKind::Reset { reason: ResetReason::TakenOver, parts },
        ));
        Ok(true)
    }

    /// The log is gone; the message and the journal row say how it ended.
    async fn replay_from_message(&mut self) -> Result<()> {
        let record = self.store.turn(&self.scope, &self.turn).await?;
        let record = record.ok_or_else(|| {
            let detail = "there is no such turn";
            TurnError::from(PersistError::new(PersistErrorKind::NotFound, "replay a turn", detail))
        })?;
        let turn = &record.turn;
        let message = self.store.message(&self.scope, &turn.conversation, &turn.reply).await?;
        let parts = message.as_ref().map(|message| message.parts.clone()).unwrap_or_default();
        let before_end = record.last_seq.saturating_sub(1);
        let reset = EventKind::Reset { reason: ResetReason::LogExpired, parts };
        self.ready.push_back(self.synthetic(record.epoch, before_end, reset));
        let ended = ended_of(&record, message.as_ref());
        self.ready.push_back(self.synthetic(record.epoch, record.last_seq, ended));
        Ok(())
    }

    fn synthetic(&self, epoch: u64, seq: u64, event: EventKind) -> Arc<TurnEvent> {
        Arc::new(TurnEvent { v: EVENT_VERSION, turn: self.turn.clone(), epoch, seq, event })
    }
}

fn ended_of(record: &TurnRecord, message: Option<&chat_types::Message>) -> EventKind {
    let (usage, cost) = billing::total(record.steps.iter().flat_map(|step| &step.amounts));
    EventKind::Ended {
        outcome: record.state,
        message: message.map(|message| message.id.clone()),
        usage,
        cost,
        finish_reason: message.and_then(|message| message.finish_reason),
        failure: record.failure.clone(),
    }
}
