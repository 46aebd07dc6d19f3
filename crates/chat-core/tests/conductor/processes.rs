//! T5 and T6, and an orderly end: who may stop a turn, and who may write to it.

use std::sync::Arc;

use chat_balance::{BalanceAdapter as _, HoldRequest, HoldState, LegRequest};
use chat_core::TurnRequest;
use chat_persist::StopAck;
use chat_provider::{ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{
    AccountId, Clock as _, Cursor, EventKind, FinishReason, Folded, MessageStatus, Money,
    ResetReason, StepKey, TurnState, UsageSource,
};
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant};

use crate::common::*;
use crate::hooks::NeverAnswers;
use crate::ledgers::{Stuck, StuckLedger};

fn slow_reply() -> ScriptedReply {
    ScriptedReply::new(vec![
        say("slow "),
        ScriptedStep::Wait { ms: 5_000 },
        say("reply"),
        finish(FinishReason::Stop),
    ])
}

#[tokio::test(start_paused = true)]
async fn t5_dropping_handle_and_readers_does_not_stop_a_turn() {
    let world = World::new(vec![slow_reply()]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    let id = turn.id().clone();
    read_until(&turn, "slow").await;
    drop(turn);
    let events = read(&client, &id, Cursor::START).await;
    assert_whole(&events);
    let folded = Folded::from_events(events.iter().map(AsRef::as_ref));
    assert_eq!(folded.outcome, Some(TurnState::Completed));
    assert_eq!(folded.parts, text("slow reply"));
}

#[tokio::test(start_paused = true)]
async fn t5_a_stop_from_another_process_takes_effect_within_the_poll() {
    let reply = ScriptedReply::new(vec![say("half an answer"), ScriptedStep::Hang]);
    let world = World::new(vec![reply]);
    let (client, other) = (world.start().await, world.start().await);
    let turn = send(&client, TurnRequest::text("hi")).await;
    read_until(&turn, "half").await;
    assert_eq!(world.provider.calls_under_way(), 1);
    let asked = Instant::now();
    let ack = other.stop(&ada(), turn.id()).await.expect("asked");
    assert_eq!(ack, StopAck::Requested);
    let outcome = end_of(&turn).await;
    let poll = Duration::from_millis(world.config.stop_poll_ms.into());
    assert!(asked.elapsed() <= poll, "{:?}", asked.elapsed());
    assert_eq!(world.provider.calls_under_way(), 0, "upstream is let go");
    assert_eq!(outcome.state, TurnState::Aborted);
    assert_eq!(outcome.finish_reason, Some(FinishReason::Cancelled));
    assert_eq!(outcome.failure, None);
    let reply = outcome.message.expect("kept");
    assert_eq!(reply.parts, text("half an answer"));
    assert_eq!(reply.status, MessageStatus::Partial);
    let rows = world.rows(&ada()).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].source, UsageSource::Estimated);
    assert_eq!(rows[0].usage.output.get(), 5, "14 letters and spaces");
    let again = other.stop(&ada(), turn.id()).await.expect("asked");
    assert_eq!(again, StopAck::AlreadyEnded(TurnState::Aborted));
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn t5_a_stop_before_the_first_word_bills_the_input_and_keeps_no_reply() {
    let world = World::new(vec![ScriptedReply::new(vec![ScriptedStep::Hang])]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    while world.provider.calls_under_way() == 0 {
        tokio::task::yield_now().await;
    }
    turn.stop().await.expect("asked");
    let outcome = end_of(&turn).await;
    assert_eq!((outcome.state, outcome.message), (TurnState::Aborted, None));
    assert_eq!(world.rows(&ada()).await.len(), 1);
    let next = TurnRequest::text("again").in_conversation(turn.conversation().clone());
    let next = send(&client, next).await;
    let message = world.message(&ada(), next.conversation(), next.user_message()).await;
    let parent = message.expect("stored").parent;
    assert_eq!(parent.as_ref(), Some(turn.user_message()));
}

#[tokio::test(start_paused = true)]
async fn t6_a_zombie_writes_nothing_and_its_readers_see_one_end() {
    let reply = ScriptedReply::new(vec![
        say("durable "),
        ScriptedStep::Wait { ms: 1_000 },
        say("lost"),
        ScriptedStep::Wait { ms: 60_000 },
        say(" never"),
        ScriptedStep::Say(vec![
            ProviderEvent::Finished(FinishReason::Stop),
            ProviderEvent::Usage(usage(1_000, 1_000)),
        ]),
    ]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let (zombie, heir) = (world.start().await, world.start().await);
    let turn = send(&zombie, TurnRequest::text("hi")).await;
    let mut stream = turn.events(Cursor::START).await.expect("opens");
    let mut seen = Vec::new();
    while !matches!(seen.last().map(|event: &Arc<chat_types::TurnEvent>| &event.event),
        Some(EventKind::TextDelta { text, .. }) if text == "lost")
    {
        seen.push(stream.next().await.expect("goes on").expect("reads"));
    }
    let beyond = seen.last().expect("some").cursor();

    world.let_leases_lapse();
    let recovered = heir.recover().await.expect("recovers");
    assert_eq!(recovered.turns, 1);
    let closed = world.record(&ada(), turn.id()).await;
    assert_eq!((closed.state, closed.epoch), (TurnState::Interrupted, 2));
    let account = world.account(&ada()).await;
    let rows = world.rows(&ada()).await;
    let log = read(&heir, turn.id(), Cursor::START).await;
    assert_whole(&log);

    // The zombie goes on until its first write is refused.
    let rest: Vec<_> = stream.map(|event| event.expect("reads")).collect().await;
    turn.settled().await;
    zombie.drain().await;
    heir.recover().await.expect("recovers");
    heir.drain().await;
    let kinds: Vec<_> = rest.iter().map(|event| &event.event).collect();
    let reset = EventKind::Reset { reason: ResetReason::TakenOver, parts: text("durable ") };
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(kinds[0], &reset);
    assert_eq!(kinds[1], &log.last().expect("ended").event);
    assert_eq!(read(&heir, turn.id(), beyond).await, rest);
    let shown = [seen, rest].concat();
    let folded = Folded::from_events(shown.iter().map(AsRef::as_ref));
    let reply = world.message(&ada(), turn.conversation(), turn.reply()).await;
    let reply = reply.expect("kept");
    assert_eq!(folded.parts, reply.parts);
    assert_eq!(reply.parts, text("durable "));

    let after = world.record(&ada(), turn.id()).await;
    assert_eq!((after.state, after.last_seq), (closed.state, closed.last_seq));
    assert_eq!(read(&heir, turn.id(), Cursor::START).await, log);
    assert_eq!(world.account(&ada()).await, account, "settled once");
    assert_eq!(world.rows(&ada()).await, rows);
    assert_eq!(rows.len(), 1);
    assert_eq!(account.posted, rows[0].amount);
    assert_sound(&heir).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_running_turns_finish() {
    let world = World::new(vec![slow_reply()]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    read_until(&turn, "slow").await;
    let drained = client.drain();
    let refused = async { client.send_message(&ada(), TurnRequest::text("late")).await };
    let ((), refused) = futures::join!(drained, refused);
    assert_eq!(refused.expect_err("refused").code(), "draining");
    let outcome = end_of(&turn).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_interrupts_what_does_not_finish_in_time_and_gives_up_its_lease() {
    let reply = ScriptedReply::new(vec![say("so far"), ScriptedStep::Hang]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    read_until(&turn, "so far").await;
    let asked = Instant::now();
    client.drain().await;
    let patience = Duration::from_millis(world.config.drain_ms.into());
    assert!(asked.elapsed() <= patience + Duration::from_millis(10));
    let outcome = end_of(&turn).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "server_draining");
    assert_eq!(outcome.message.expect("kept").parts, text("so far"));
    assert_eq!(world.account(&ada()).await.held, Money::ZERO);
    assert_eq!(world.provider.calls_under_way(), 0);
    assert_sound(&client).await;
    let next = world.start().await.recover().await.expect("recovers");
    assert_eq!(next, chat_core::Recovered::default(), "nothing is left over");
}

#[tokio::test(start_paused = true)]
async fn more_turns_than_are_allowed_are_refused() {
    let mut world = World::new(vec![slow_reply()]);
    world.config.turns_max = 2;
    let client = world.start().await;
    let first = send(&client, TurnRequest::text("one")).await;
    let _second = send(&client, TurnRequest::text("two")).await;
    let refused = client.send_message(&ada(), TurnRequest::text("three")).await;
    let error = refused.expect_err("refused");
    assert_eq!(error.code(), "overloaded");
    assert!(error.is_transient());
    end_of(&first).await;
    assert!(client.send_message(&ada(), TurnRequest::text("three")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ready_yet_can_be_stopped_and_drained_and_has_the_same_deadline() {
    let world = World::saying(&["ok"]);
    let client = world.builder().prompt_guard(Arc::new(NeverAnswers)).start();
    let client = client.await.expect("starts");
    let stopped = send(&client, TurnRequest::text("hi")).await;
    let other = world.start().await;
    other.stop(&ada(), stopped.id()).await.expect("asked");
    assert_eq!(end_of(&stopped).await.state, TurnState::Aborted);
    let late = send(&client, TurnRequest::text("hi")).await;
    let outcome = end_of(&late).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.failure.expect("says why").code, "deadline_exceeded");
    let drained = send(&client, TurnRequest::text("hi")).await;
    client.drain().await;
    let outcome = end_of(&drained).await;
    assert_eq!(outcome.failure.expect("says why").code, "server_draining");
    assert_eq!(world.provider.calls(), vec![]);
    assert_eq!(world.rows(&ada()).await, vec![]);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_sends_starts_no_more_turns_than_are_allowed() {
    let mut world = World::new(vec![slow_reply()]);
    world.config.turns_max = 3;
    let client = world.start().await;
    let ada = ada();
    let burst = (0..64).map(|_| client.send_message(&ada, TurnRequest::text("hi")));
    let sent = futures::future::join_all(burst).await;
    let refused = sent.iter().filter_map(|sent| sent.as_ref().err());
    assert!(refused.clone().all(|error| error.code() == "overloaded"));
    assert_eq!(refused.count(), 61);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_taken_over_while_it_waited_for_the_hold_sends_nothing() {
    let world = World::saying(&["never"]).with_credit(1_000_000_000);
    let go_on = Arc::new(Semaphore::new(0));
    let slow = StuckLedger(world.ledger.clone(), Stuck::Holds(Arc::clone(&go_on)));
    let owner = world.builder_over(Arc::new(slow)).start().await.expect("starts");
    let heir = world.start().await;
    let turn = send(&owner, TurnRequest::text("hi")).await;
    while world.record(&ada(), turn.id()).await.steps.is_empty() {
        tokio::task::yield_now().await;
    }

    // The attempt is journaled, the hold is on its way: the heir sees that no byte can have left.
    world.let_leases_lapse();
    let recovered = heir.recover().await.expect("recovers");
    assert_eq!(recovered.turns, 1);
    let closed = world.record(&ada(), turn.id()).await;
    assert_eq!((closed.state, closed.epoch), (TurnState::Failed, 2));
    assert_eq!(closed.failure.expect("says why").code, "not_started");

    go_on.close();
    turn.settled().await;
    assert_eq!(world.provider.calls(), vec![]);
    world.let_leases_lapse();
    heir.recover().await.expect("recovers");
    assert_eq!(world.rows(&ada()).await, vec![]);
    assert_sound(&heir).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_taken_over_leaves_the_hold_to_its_heir() {
    let world = World::saying(&["never"]).with_credit(1_000_000_000);
    let (answer, settle) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = StuckLedger(world.ledger.clone(), Stuck::HoldAnswers(Arc::clone(&answer)));
    let owner = world.builder_over(Arc::new(slow)).start().await.expect("starts");
    let slow = StuckLedger(world.ledger.clone(), Stuck::Settlements(Arc::clone(&settle)));
    let heir = world.builder_over(Arc::new(slow)).start().await.expect("starts");
    let turn = send(&owner, TurnRequest::text("hi")).await;
    let key = StepKey { turn: turn.id().clone(), step: 1 };
    while world.ledger.hold_of(&ada(), &key).await.expect("reads").is_none()
        || world.record(&ada(), turn.id()).await.steps.is_empty()
    {
        tokio::task::yield_now().await;
    }

    // Attempt and hold are durable: for all the heir knows the call was made. While it settles the
    // estimate, the owner hears of its hold, and that the turn is not its own any more.
    world.let_leases_lapse();
    let recovering = heir.recover();
    let waking = async {
        while !world.record(&ada(), turn.id()).await.state.is_terminal() {
            tokio::task::yield_now().await;
        }
        answer.close();
        turn.settled().await;
        settle.close();
    };
    let (recovered, ()) = futures::join!(recovering, waking);
    assert_eq!(recovered.expect("recovers").turns, 1);
    assert_eq!(world.provider.calls(), vec![]);
    let rows = world.rows(&ada()).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(world.account(&ada()).await.posted, rows[0].amount);
    assert_sound(&heir).await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_whose_step_is_on_its_way_is_left_to_the_turns_owner() {
    let world = World::new(vec![ScriptedReply::new(vec![say("one "), ScriptedStep::Hang])])
        .with_credit(1_000_000_000);
    let (owner, other) = (world.start().await, world.start().await);
    let turn = send(&owner, TurnRequest::text("hi")).await;
    read_until(&turn, "one").await;
    let key = StepKey { turn: turn.id().clone(), step: 2 };
    let leg = LegRequest {
        account: AccountId::new("ada").expect("valid"),
        amount: Money::from_nano_usd(10),
        floor: Money::ZERO,
        refill: None,
        warn_below: None,
    };
    let request = HoldRequest { key: key.clone(), legs: vec![leg], at: world.clock.now() };
    world.ledger.hold(&ada(), &request).await.expect("holds");

    // Three leases later the owner is alive: it has renewed its own.
    world.let_leases_lapse();
    tokio::time::sleep(Duration::from_millis(world.config.lease_ms.into())).await;
    let recovered = other.recover().await.expect("recovers");
    assert_eq!((recovered.turns, recovered.holds), (0, 0));
    let state = world.ledger.hold_of(&ada(), &key).await.expect("reads").map(|hold| hold.state);
    assert_eq!(state, Some(HoldState::Open));

    turn.stop().await.expect("asked");
    end_of(&turn).await;
    let recovered = other.recover().await.expect("recovers");
    assert_eq!(recovered.holds, 1);
    assert_sound(&other).await;
}
