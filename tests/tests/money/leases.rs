//! M5: a hold lasts as long as its call, and whoever lost a turn bills nothing more for it.

use std::time::{Duration, Instant};

use chat_balance::{AccountUnit, HoldState};
use chat_tests::fake_provider::LedgerSummary;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, Sending, Sign, signal};
use chat_types::{EventKind, Money, TurnState, UsageSource};

const PATIENCE: Duration = Duration::from_secs(30);
/// The leases that are tried, the next one if a busy machine took the owner for dead.
const LEASES_MS: [u64; 3] = [1_000, 3_000, 9_000];
/// A word every quarter of a lease for more than three leases; then it stands until it is stopped.
const WORDS: usize = 13;
const CAP: &str = "16";

on_every_engine! {
    m5_a_stream_of_three_leases_keeps_its_hold,
    m5_an_owner_that_sleeps_through_its_lease_bills_nothing_when_it_wakes,
}

fn m5_a_stream_of_three_leases_keeps_its_hold(engine: Engine) {
    let kept = LEASES_MS.into_iter().any(|lease_ms| keeps_its_hold(engine, lease_ms));
    assert!(kept, "the owner was taken for dead with every lease");
}

/// False if somebody took the turn over: the machine kept its owner from saying that it lives.
fn keeps_its_hold(engine: Engine, lease_ms: u64) -> bool {
    let model = format!("fake:out-plain:chunks-40:delay_ms-{}:stall_after-{WORDS}", lease_ms / 4);
    let options =
        SceneOptions::of_the_living().with_lease_ms(lease_ms).with_plain_models([model.clone()]);
    let one = options.hold_of(&model, "long says hello", 16);
    let scene = Scene::with(engine, &options.with_opening(one));
    let cap = ["--max-tokens", CAP];
    let mut long = Sending::start_with(&scene, "long", &model, "long says hello", &cap);
    assert!(long.wait_for(Sign::FirstText));
    let begun = Instant::now();
    let mut number = 0;
    // Recovery by another process does not touch it, and nobody else can spend it, to the end.
    while begun.elapsed() < Duration::from_millis(lease_ms * 7 / 2) {
        scene.chat(&["recover"]);
        let key = format!("short-{number}");
        let short = Sending::start_with(&scene, &key, &model, "short says hello", &cap).finish();
        let refused = short.events.iter().find_map(|event| match &event.event {
            EventKind::Ended { outcome, failure, .. } => Some((*outcome, failure.clone())),
            _ => None,
        });
        let (outcome, failure) = refused.unwrap();
        if outcome != TurnState::Rejected && is_taken_over(&scene) {
            return false;
        }
        assert_eq!(outcome, TurnState::Rejected);
        assert_eq!(failure.unwrap().code, "insufficient_funds");
        number += 1;
    }
    long.wait_for_words(WORDS);
    if is_taken_over(&scene) {
        println!("{engine:?}: taken over with a lease of {lease_ms} ms");
        return false;
    }
    let books = scene.journal.books();
    let open: Vec<_> = books.holds.iter().filter(|hold| hold.state == HoldState::Open).collect();
    assert_eq!(open.len(), 1, "{:?}", books.holds);
    let covered = open[0].covered(AccountUnit::Usd);
    assert_eq!((covered, books.accounts[0].held), (Some(one), one));

    scene.chat(&["stop", &long.turn()]);
    let told = long.finish();
    assert!(told.saw(Sign::Ended), "{}", told.stderr);
    let is_over = |books: &LedgerSummary| books.totals.open == 0;
    let charged = scene.provider.wait_until(PATIENCE, is_over).unwrap();
    println!("{number} others were refused, {} words were said", charged.requests[0].chunks_sent);
    assert_eq!(charged.totals.requests, 1);
    if is_taken_over(&scene) {
        println!("{engine:?}: taken over at its end, with a lease of {lease_ms} ms");
        return false;
    }
    let books = scene.journal.books();
    let turn = books.turn_of_key("long").unwrap();
    assert_eq!((turn.record.state, turn.record.epoch), (TurnState::Aborted, 1));
    let billed: Vec<_> = books.usage.iter().map(|row| (row.source, row.amount)).collect();
    let charge = Money::from_nano_usd(i64::try_from(charged.totals.charge_nano_usd).unwrap());
    assert_eq!(billed, [(UsageSource::Estimated, charge)]);
    assert_eq!((books.accounts[0].held, books.accounts[0].posted), (Money::ZERO, charge));
    scene.audit();
    true
}

fn is_taken_over(scene: &Scene) -> bool {
    scene.journal.books().turn_of_key("long").unwrap().record.epoch > 1
}

/// While it sleeps its whole reply, usage and all, comes to lie in its socket: it would have everything to
/// bill the call as the provider charged it, and must not.
fn m5_an_owner_that_sleeps_through_its_lease_bills_nothing_when_it_wakes(engine: Engine) {
    const MODEL: &str = "fake:out-plain:chunks-30:delay_ms-30";
    let options = SceneOptions::of_the_dying().with_plain_models([MODEL.to_owned()]);
    let scene = Scene::with(engine, &options);
    let mut sleeper = Sending::start(&scene, "sleeper", MODEL, "say nothing");
    assert!(sleeper.wait_for(Sign::FirstText));
    let pid = sleeper.pid();
    scene.freeze(pid);
    let is_said = |books: &LedgerSummary| books.totals.finished == 1;
    let charged = scene.provider.wait_until(PATIENCE, is_said).unwrap();
    // Two leases of sleep at least.
    scene.recover();
    let before = scene.journal.books();
    let turn = before.turn_of_key("sleeper").unwrap();
    assert_eq!((turn.record.state, turn.record.epoch), (TurnState::Interrupted, 2));
    let billed: Vec<_> = before.usage.iter().map(|row| row.source).collect();
    assert_eq!(billed, [UsageSource::Estimated]);

    signal(pid, "CONT");
    let told = sleeper.finish();
    assert!(!told.was_killed(), "{}", told.status);
    scene.recover();
    assert_eq!(scene.journal.books(), before, "every row is as it was");
    assert_eq!(scene.provider.ledger().unwrap(), charged, "nobody was called");
    scene.audit();
}
