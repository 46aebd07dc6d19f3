//! T4: any number of readers, any place to resume from, never a gap.

use chat_core::TurnRequest;
use chat_persist::Maintenance;
use chat_provider::{ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{Clock, Cursor, EventKind, FinishReason, Folded, ResetReason};
use futures::StreamExt;
use futures::future::join_all;

use crate::common::*;

/// A reply of so many words, one read each, a millisecond apart.
fn words(count: usize) -> ScriptedReply {
    let mut steps = Vec::new();
    for number in 0..count {
        steps.push(say(&format!("word{number} ")));
        steps.push(ScriptedStep::Wait { ms: 1 });
    }
    steps.push(ScriptedStep::Say(vec![
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(10, 190)),
    ]));
    ScriptedReply::new(steps)
}

#[tokio::test(start_paused = true)]
async fn t4_a_reader_that_drops_off_anywhere_resumes_without_a_gap() {
    let world = World::new(vec![words(190)]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    let interrupted = |stop_after: usize| {
        let (client, turn) = (&client, &turn);
        async move {
            let stream = turn.events(Cursor::START).await.expect("opens");
            let head: Vec<_> =
                stream.take(stop_after).map(|event| event.expect("reads")).collect().await;
            let cursor = head.last().map_or(Cursor::START, |event| event.cursor());
            let rest = read(client, turn.id(), cursor).await;
            [head, rest].concat()
        }
    };
    let whole = read(&client, turn.id(), Cursor::START);
    let (whole, joined) = futures::join!(whole, join_all((0..=197).map(interrupted)));
    assert_whole(&whole);
    assert!(whole.len() >= 198, "{}", whole.len());
    for (stop_after, events) in joined.iter().enumerate() {
        assert_eq!(*events, whole, "dropped off after {stop_after}");
    }
    let outcome = end_of(&turn).await;
    let folded = Folded::from_events(whole.iter().map(AsRef::as_ref));
    let parts = outcome.message.expect("stored").parts;
    let as_json = |parts| serde_json::to_string(parts).expect("has a JSON form");
    assert_eq!(as_json(&folded.parts), as_json(&parts), "byte for byte");
}

#[tokio::test(start_paused = true)]
async fn t4_after_the_end_every_cursor_still_gets_the_rest() {
    let world = World::new(vec![words(40)]);
    let client = world.start().await;
    let (turn, _) = complete(&client, TurnRequest::text("hi")).await;
    let whole = read(&client, turn.id(), Cursor::START).await;
    assert_whole(&whole);
    for (seen, event) in whole.iter().enumerate() {
        let rest = read(&client, turn.id(), event.cursor()).await;
        assert_eq!(rest, whole[seen + 1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn t4_another_process_reads_whole_checkpoints_and_then_the_end() {
    let world = World::new(vec![words(1_000)]);
    let (client, other) = (world.start().await, world.start().await);
    let turn = send(&client, TurnRequest::text("hi")).await;
    let here = read(&client, turn.id(), Cursor::START);
    let early = async {
        let stream = other.events(&ada(), turn.id(), Cursor::START).await;
        let events = stream.expect("opens").map(|event| event.expect("reads"));
        let mut seen = Vec::new();
        let mut last_before_end = None;
        futures::pin_mut!(events);
        while let Some(event) = events.next().await {
            if world.record(&ada(), turn.id()).await.closed_at.is_none() {
                last_before_end = Some(event.seq);
            }
            seen.push(event);
        }
        (seen, last_before_end)
    };
    let (here, (there, last_before_end)) = futures::join!(here, early);
    assert_whole(&here);
    assert_eq!(there, here);
    let last_before_end = last_before_end.expect("it did not wait for the end");
    let log =
        chat_persist::PersistenceAdapter::events(&world.store, &ada(), turn.id(), 0, 1_000).await;
    let segments = log.expect("reads").segments;
    assert!(segments.len() > 2, "{}", segments.len());
    let ends: Vec<u64> = segments.iter().map(|segment| segment.last_seq).collect();
    assert!(ends.contains(&last_before_end), "{last_before_end} {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn t4_an_expired_log_is_replayed_as_a_snapshot_and_the_end() {
    let world = World::new(vec![words(5)]);
    let client = world.start().await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    let before = read(&client, turn.id(), Cursor::START).await;
    let end = before.last().expect("ended");
    world.clock.advance_ms(1);
    let now = world.clock.now();
    let swept = world.store.sweep(now, now, 10).await.expect("sweeps");
    assert_eq!(swept.event_logs, 1);
    let parts = outcome.message.clone().expect("stored").parts;
    for cursor in [Cursor::START, before[3].cursor()] {
        let after = read(&client, turn.id(), cursor).await;
        let kinds: Vec<_> = after.iter().map(|event| event.event.clone()).collect();
        let reset = EventKind::Reset { reason: ResetReason::LogExpired, parts: parts.clone() };
        assert_eq!(kinds, vec![reset, end.event.clone()]);
        assert_eq!(after[1].cursor(), end.cursor());
        let folded = Folded::from_events(after.iter().map(AsRef::as_ref));
        assert_eq!(folded.parts, parts);
    }
    assert_eq!(end_of(&turn).await, outcome);
}
