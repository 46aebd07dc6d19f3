//! Single promises of a crash, one test each.

use std::time::{Duration, Instant};

use chat_balance::{Hold, HoldState};
use chat_persist::TurnRecord;
use chat_tests::fake_provider::reply_text;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, Sending, Sign, seed, signal};
use chat_types::{EventKind, StepState, TurnState, UsageSource};

use crate::verdict::judge;

/// A reply that takes ten seconds: longer than any test here lets it.
const SLOW: &str = "fake:chunks-2000:delay_ms-5";
const SLOW_CHUNKS: u64 = 2_000;
/// The owner reads its stop flags this often; the rest is a busy machine.
const STOP_POLL: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_millis(1_500);

/// One kill in eight hits between a settlement and its mark; that many misses are no bad luck.
const VICTIMS_MAX: usize = 80;

fn last_state(record: &TurnRecord) -> Option<StepState> {
    record.steps.last().map(|step| step.state)
}

on_every_engine! {
    a_message_that_was_acknowledged_survives_a_kill_right_after,
    a_dispatched_call_is_billed_as_estimated_and_never_sent_again,
    the_same_key_after_a_kill_attaches_and_calls_nobody,
    a_settlement_that_is_done_again_posts_once,
    a_turn_is_stopped_from_another_process,
    a_process_that_was_taken_for_dead_writes_nothing_when_it_wakes,
}

fn a_message_that_was_acknowledged_survives_a_kill_right_after(engine: Engine) {
    let scene = Scene::new(engine);
    let mut sending = Sending::start(&scene, "acknowledged", "fake:chunks-12", "keep me");
    assert!(sending.wait_for(Sign::Accepted));
    let turn = sending.turn();
    assert!(sending.kill().was_killed());
    let seen = scene.journal.find("acknowledged").unwrap();
    assert_eq!(seen.record.turn.id.as_str(), turn);
    scene.recover();
    let books = scene.journal.books();
    let after = books.turn_of_key("acknowledged").unwrap();
    assert!(after.record.state.is_terminal());
    let messages = &books.messages[&after.record.turn.conversation];
    let kept = messages.iter().find(|message| message.id == after.record.turn.user_message);
    assert_eq!(kept.unwrap().text(), "keep me");
}

fn a_dispatched_call_is_billed_as_estimated_and_never_sent_again(engine: Engine) {
    let scene = Scene::new(engine);
    let model = "fake:header_delay_ms-30000";
    let mut sending = Sending::start(&scene, "dispatched", model, "dispatched says hello");
    assert!(sending.wait_for(Sign::Attempt));
    let patience = Duration::from_secs(10);
    let reached = |books: &chat_tests::fake_provider::LedgerSummary| books.totals.requests == 1;
    scene.provider.wait_until(patience, reached).unwrap();
    let told = sending.kill();
    let seen = scene.journal.find("dispatched").unwrap();
    scene.recover();
    scene.recover();
    let charged = scene.provider.ledger().unwrap();
    assert_eq!(charged.totals.requests, 1, "it was sent again");
    let books = scene.journal.books();
    let after = books.turn_of_key("dispatched").unwrap();
    assert_eq!(after.record.state, TurnState::Interrupted);
    let rows: Vec<_> = books.usage.iter().map(|row| row.source).collect();
    assert_eq!(rows, [UsageSource::Estimated]);
    assert!(books.usage[0].amount.nano_usd() > 0);
    assert!(told.was_killed());
    assert_eq!(last_state(&seen.record), Some(StepState::Dispatched));
}

fn the_same_key_after_a_kill_attaches_and_calls_nobody(engine: Engine) {
    let scene = Scene::new(engine);
    let text = "again says hello";
    let mut sending = Sending::start(&scene, "again", SLOW, text);
    assert!(sending.wait_for(Sign::FirstText));
    std::thread::sleep(Duration::from_millis(400));
    let turn = sending.turn();
    assert!(sending.kill().was_killed());
    // The lease has not lapsed yet: the second process attaches, and its reaper ends the turn.
    let again = Sending::start(&scene, "again", SLOW, text).finish();
    assert_eq!(again.events[0].turn.as_str(), turn);
    assert!(again.saw(Sign::Ended), "{}", again.stderr);
    assert!(!again.status.success());
    let told = again.text();
    assert!(!told.is_empty() && reply_text(SLOW_CHUNKS).starts_with(&told), "{told:?}");
    assert_eq!(scene.provider.ledger().unwrap().totals.requests, 1);
    let other = Sending::start(&scene, "again", SLOW, "another body").finish();
    assert!(other.stderr.contains("error[idempotency_conflict]"), "{}", other.stderr);
    scene.recover();
    let books = scene.journal.books();
    assert_eq!(books.turns.len(), 1);
    assert_eq!(books.turn_of_key("again").unwrap().text(), told);
    assert_eq!(books.usage.len(), 1);
    scene.audit();
}

fn a_settlement_that_is_done_again_posts_once(engine: Engine) {
    let scene = Scene::new(engine);
    // The end is told before the ledger has it, and the mark comes after: some milliseconds to hit,
    // as many as the engine's commits take.
    let longest_us = match engine {
        Engine::Sqlite => 5_000,
        Engine::Postgres => 15_000,
        Engine::Mongo => 80_000,
    };
    let mut rng = fastrand::Rng::with_seed(seed());
    let mut redone = 0;
    let mut keys = Vec::new();
    while redone == 0 && keys.len() < VICTIMS_MAX {
        let key = format!("posted-{}", keys.len());
        let text = format!("{key} says hello");
        let mut sending = Sending::start(&scene, &key, "fake:chunks-12", &text);
        sending.wait_for(Sign::Ended);
        std::thread::sleep(Duration::from_micros(rng.u64(..longest_us)));
        let told = sending.kill();
        let seen = scene.journal.find(&key).unwrap();
        let posted = |hold: &Hold| hold.state == HoldState::Posted;
        let is_redone = last_state(&seen.record) == Some(StepState::Settling)
            && seen.hold.as_ref().is_some_and(posted);
        redone += usize::from(told.was_killed() && is_redone);
        keys.push(key);
    }
    println!("{redone} of {} kills left a posted settlement without its mark", keys.len());
    assert!(redone > 0, "no kill left a settlement without its mark");
    scene.recover();
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    judge(&[], &books, &charged, &[]).assert();
    for key in &keys {
        let turn = books.turn_of_key(key).unwrap();
        let last = last_state(&turn.record);
        assert_eq!(last, Some(StepState::Settled), "{key}: {:?}", turn.record);
        assert_eq!(turn.text(), reply_text(12));
    }
    assert_eq!(books.usage.len(), keys.len());
    scene.audit();
}

fn a_turn_is_stopped_from_another_process(engine: Engine) {
    let scene = Scene::of_the_living(engine);
    let mut sending = Sending::start(&scene, "stopped", SLOW, "stopped says hello");
    assert!(sending.wait_for(Sign::FirstText));
    let turn = sending.turn();
    scene.chat(&["stop", &turn]);
    let asked = Instant::now();
    assert!(sending.wait_for(Sign::Ended));
    let took = asked.elapsed();
    let told = sending.finish();
    println!("stopped {took:?} after the other process had asked");
    assert!(took < STOP_POLL + SLACK, "{took:?}");
    let outcome = told.events.iter().find_map(|event| match &event.event {
        EventKind::Ended { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(outcome, Some(TurnState::Aborted));
    let seen = scene.journal.find("stopped").unwrap();
    assert_eq!(seen.record.state, TurnState::Aborted);
    assert_eq!(seen.text(), told.text());
    assert!(!told.text().is_empty() && reply_text(SLOW_CHUNKS).starts_with(&told.text()));
    // The connection was closed, so the provider stopped as well.
    let charged = scene.provider.ledger().unwrap();
    assert!(charged.requests[0].chunks_sent < SLOW_CHUNKS, "{charged:?}");
}

fn a_process_that_was_taken_for_dead_writes_nothing_when_it_wakes(engine: Engine) {
    let scene = Scene::new(engine);
    let mut sending = Sending::start(&scene, "zombie", SLOW, "zombie says hello");
    assert!(sending.wait_for(Sign::FirstText));
    let id = sending.turn();
    let pid = sending.pid();
    std::thread::sleep(Duration::from_millis(400));
    scene.freeze(pid);
    scene.recover();
    let before = scene.journal.books();
    let turn = before.turn_of_key("zombie").unwrap();
    assert_eq!(turn.record.turn.id.as_str(), id);
    assert_eq!((turn.record.state, turn.record.epoch), (TurnState::Interrupted, 2));
    assert_eq!(before.usage.len(), 1);

    signal(pid, "CONT");
    let told = sending.finish();
    println!("the zombie ended with {} after waking", told.status);
    assert!(!told.was_killed());
    // Another reap, by another process, finds nothing either.
    scene.recover();
    assert_eq!(scene.journal.books(), before);
    scene.audit();
}
