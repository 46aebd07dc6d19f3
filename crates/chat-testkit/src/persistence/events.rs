//! The event log: order, repeats, gaps, pages, expiry.

use std::sync::Arc;

use chat_persist::{Checkpoint, EventPage, EventSegment, PersistErrorKind, TurnClose};
use chat_types::{EVENT_VERSION, EventKind, StepState, TurnEvent, TurnState};

use crate::Store;
use crate::fixtures::{Sent, assert_refused, at, id, scope, segment, step};

/// A running turn with events 1, 2 to 4, 5 to 5 and 6 to 9.
async fn logged(store: &Arc<dyn Store>) -> Sent {
    let sent = Sent::named("1").run(&**store).await;
    for (first, last) in [(2, 4), (5, 5), (6, 9)] {
        let checkpoint = sent.checkpoint(first, last, false);
        store.checkpoint(&sent.fence(), &checkpoint).await.expect("appends");
    }
    sent
}

async fn read(store: &Arc<dyn Store>, sent: &Sent, after_seq: u64, limit: u32) -> EventPage {
    store.events(&scope(), sent.id(), after_seq, limit).await.expect("reads")
}

/// What was appended comes back in order, event by event, byte by byte.
pub async fn log_replays_in_order(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    let expected = EventPage {
        segments: [(1, 1), (2, 4), (5, 5), (6, 9)]
            .map(|(first, last)| segment(sent.id(), first, last))
            .to_vec(),
        state: Some(TurnState::Running),
        last_seq: 9,
        epoch: 1,
        expired: false,
    };
    let page = read(store, &sent, 0, 100).await;
    assert_eq!(page, expected);
    let events = page.segments.iter().flat_map(|s| s.decode().expect("decodes"));
    assert!(events.map(|event| event.seq).eq(1..=9), "no gap, no repeat");
}

/// A reader gets the segments that hold anything after what it has seen.
pub async fn reading_goes_on_after_what_was_seen(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    for (after_seq, first_seqs) in
        [(0, vec![1, 2, 5, 6]), (1, vec![2, 5, 6]), (3, vec![2, 5, 6]), (4, vec![5, 6])]
            .into_iter()
            .chain([(5, vec![6]), (8, vec![6]), (9, vec![]), (99, vec![])])
    {
        let page = read(store, &sent, after_seq, 100).await;
        let found: Vec<u64> = page.segments.iter().map(|segment| segment.first_seq).collect();
        assert_eq!(found, first_seqs, "after {after_seq}");
        assert_eq!(page.last_seq, 9);
    }
}

/// Pages joined are the whole log.
pub async fn pages_join_to_the_whole_log(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    let mut joined: Vec<EventSegment> = Vec::new();
    loop {
        let seen = joined.last().map_or(0, |segment| segment.last_seq);
        let page = read(store, &sent, seen, 2).await;
        assert!(page.segments.len() <= 2, "{page:?}");
        if page.segments.is_empty() {
            break;
        }
        joined.extend(page.segments);
    }
    assert_eq!(joined, read(store, &sent, 0, 100).await.segments);
}

/// The same events again change nothing, in whichever pieces they come.
pub async fn checkpoint_again_changes_nothing(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    let before = sent.everything(&**store).await;
    for (first, last) in [(6, 9), (2, 4), (1, 1), (1, 9)] {
        let stop = store.checkpoint(&sent.fence(), &sent.checkpoint(first, last, false)).await;
        assert!(!stop.expect("is there"));
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// Events that leave a gap, or overlap the end of the log, are refused.
pub async fn gaps_are_refused(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    let before = sent.everything(&**store).await;
    for (first, last) in [(11, 12), (9, 10), (1, 10)] {
        let appended = store.checkpoint(&sent.fence(), &sent.checkpoint(first, last, false)).await;
        assert_refused(appended, PersistErrorKind::IllegalState);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// The checkpoint with a step's first delta sets it streaming.
pub async fn first_delta_sets_the_step_streaming(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, true)).await.expect("opens");
    store.checkpoint(&sent.fence(), &sent.checkpoint(2, 2, true)).await.expect("appends");
    store.checkpoint(&sent.fence(), &sent.checkpoint(3, 3, true)).await.expect("appends");
    let states: Vec<_> = sent.record(&**store).await.steps.iter().map(|s| s.state).collect();
    assert_eq!(states, [StepState::Streaming, StepState::Dispatched]);
}

/// A checkpoint tells its owner that somebody asked to stop, a repeated one too.
pub async fn checkpoint_tells_of_a_stop(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let checkpoint = async |first: u64| {
        let checkpoint = sent.checkpoint(first, first, false);
        store.checkpoint(&sent.fence(), &checkpoint).await.expect("appends")
    };
    assert!(!checkpoint(2).await);
    store.request_stop(&scope(), sent.id()).await.expect("asks");
    assert!(checkpoint(3).await);
    assert!(checkpoint(3).await);
}

/// The last events come with the state they led to.
pub async fn ended_log_has_the_last_event(store: &Arc<dyn Store>) {
    let sent = logged(store).await;
    let close = TurnClose { segment: segment(sent.id(), 10, 12), ..sent.close() };
    store.close_turn(&sent.fence(), &close).await.expect("closes");
    let page = read(store, &sent, 9, 100).await;
    let expected = EventPage {
        segments: vec![segment(sent.id(), 10, 12)],
        state: Some(TurnState::Completed),
        last_seq: 12,
        epoch: 1,
        expired: false,
    };
    assert_eq!(page, expected);
}

/// A turn that is not there has no log.
pub async fn events_of_nothing_are_not_found(store: &Arc<dyn Store>) {
    let read = store.events(&scope(), &id("t-9"), 0, 10).await;
    assert_refused(read, PersistErrorKind::NotFound);
}

/// An expired log says so, and how far it went.
pub async fn expired_log_says_so(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    store.sweep(at(2_001), at(2_001), 100).await.expect("sweeps");
    let expected = EventPage {
        segments: Vec::new(),
        state: Some(TurnState::Completed),
        last_seq: 2,
        epoch: 1,
        expired: true,
    };
    assert_eq!(read(store, &sent, 0, 100).await, expected);
}

/// A payload with every awkward character comes back byte by byte.
pub async fn payloads_round_trip_exactly(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let text = "\0 \u{1f600} e\u{301} \u{202e} \\ \" ' \r\n\t".repeat(5_000);
    let event = TurnEvent {
        v: EVENT_VERSION,
        turn: sent.id().clone(),
        epoch: 1,
        seq: 2,
        event: EventKind::TextDelta { part: 0, text },
    };
    let segment = EventSegment::encode(std::slice::from_ref(&event)).expect("encodes");
    let checkpoint = Checkpoint { segment: segment.clone(), streaming_step: None };
    store.checkpoint(&sent.fence(), &checkpoint).await.expect("appends");
    let page = read(store, &sent, 1, 10).await;
    assert_eq!(page.segments, [segment]);
    assert_eq!(page.segments[0].decode().expect("decodes"), [event]);
}
