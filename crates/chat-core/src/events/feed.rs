//! The live events of one turn: numbered here, read by any number of readers.
//!
//! The feed keeps what is not durable yet and a short tail of what is; a reader that has fallen
//! behind the tail reads the event log instead. So readers never slow the turn down and never
//! make it grow. Not here: the log itself, snapshots (`replay`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_types::{EVENT_VERSION, EventKind, TurnEvent, TurnId};
use tokio::sync::Notify;

/// Durable events kept for readers that are a little behind: a few network reads' worth.
const TAIL_EVENTS: usize = 256;

/// What a reader finds.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// These come next.
    Events(Vec<Arc<TurnEvent>>),
    /// What comes next is only in the log.
    Behind,
    /// Nothing yet.
    Nothing,
    /// Everything was read and no more will come.
    Over,
}

#[derive(Debug)]
struct State {
    tail: VecDeque<Arc<TurnEvent>>,
    last_seq: u64,
    durable_seq: u64,
    over: bool,
}

/// The live end of a turn's events.
#[derive(Debug)]
pub(crate) struct Feed {
    turn: TurnId,
    epoch: u64,
    state: Mutex<State>,
    changed: Notify,
}

impl Feed {
    /// Starts after `last_seq`, everything up to there being durable.
    pub(crate) fn new(turn: TurnId, epoch: u64, last_seq: u64) -> Self {
        let state = State { tail: VecDeque::new(), last_seq, durable_seq: last_seq, over: false };
        Self { turn, epoch, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Numbers an event without showing it to anybody yet.
    pub(crate) fn number(&self, offset: u64, event: EventKind) -> Arc<TurnEvent> {
        let seq = self.lock().last_seq.saturating_add(offset).saturating_add(1);
        Arc::new(TurnEvent {
            v: EVENT_VERSION,
            turn: self.turn.clone(),
            epoch: self.epoch,
            seq,
            event,
        })
    }

    /// Numbers events, shows them to all readers and returns them.
    pub(crate) fn append(&self, kinds: Vec<EventKind>) -> Vec<Arc<TurnEvent>> {
        let mut state = self.lock();
        let mut events = Vec::with_capacity(kinds.len());
        for event in kinds {
            state.last_seq = state.last_seq.saturating_add(1);
            let seq = state.last_seq;
            let turn = self.turn.clone();
            let event =
                Arc::new(TurnEvent { v: EVENT_VERSION, turn, epoch: self.epoch, seq, event });
            state.tail.push_back(Arc::clone(&event));
            events.push(event);
        }
        drop(state);
        self.changed.notify_waiters();
        events
    }

    /// Shows events that are numbered and durable already.
    pub(crate) fn show(&self, events: &[Arc<TurnEvent>]) {
        let mut state = self.lock();
        for event in events {
            state.last_seq = event.seq;
            state.tail.push_back(Arc::clone(event));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Everything up to `seq` is in the log: the tail may forget it.
    pub(crate) fn mark_durable(&self, seq: u64) {
        let mut state = self.lock();
        state.durable_seq = state.durable_seq.max(seq);
        while state.tail.len() > TAIL_EVENTS
            && state.tail.front().is_some_and(|event| event.seq <= state.durable_seq)
        {
            state.tail.pop_front();
        }
    }

    /// Nothing more will come from this process.
    pub(crate) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_waiters();
    }

    /// Up to `limit` events after `seq`.
    pub(crate) fn read_after(&self, seq: u64, limit: usize) -> Read {
        let state = self.lock();
        if seq >= state.last_seq {
            return if state.over { Read::Over } else { Read::Nothing };
        }
        let first = state.tail.front().map_or(u64::MAX, |event| event.seq);
        if seq.saturating_add(1) < first {
            return Read::Behind;
        }
        let skip =
            usize::try_from(seq.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        Read::Events(state.tail.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Returns when something has changed since the call was made.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(text: &str) -> EventKind {
        EventKind::TextDelta { part: 0, text: text.into() }
    }

    #[test]
    fn a_reader_behind_the_tail_is_sent_to_the_log() {
        let feed = Feed::new(TurnId::new("t").expect("valid"), 1, 0);
        feed.append((0..600).map(|n| delta(&n.to_string())).collect());
        assert!(matches!(feed.read_after(0, 10), Read::Events(events) if events.len() == 10));
        feed.mark_durable(500);
        assert_eq!(feed.read_after(0, 10), Read::Behind);
        assert!(matches!(feed.read_after(590, 100), Read::Events(events) if events.len() == 10));
    }

    #[test]
    fn what_is_not_durable_is_never_forgotten() {
        let feed = Feed::new(TurnId::new("t").expect("valid"), 1, 0);
        feed.append((0..600).map(|n| delta(&n.to_string())).collect());
        feed.mark_durable(0);
        assert!(matches!(feed.read_after(0, 1_000), Read::Events(events) if events.len() == 600));
    }

    #[test]
    fn a_reader_at_the_end_waits_until_it_is_over() {
        let feed = Feed::new(TurnId::new("t").expect("valid"), 1, 0);
        feed.append(vec![delta("a")]);
        assert_eq!(feed.read_after(1, 10), Read::Nothing);
        feed.end();
        assert_eq!(feed.read_after(1, 10), Read::Over);
    }
}
