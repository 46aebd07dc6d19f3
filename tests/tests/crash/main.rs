//! Nothing is billed twice, nothing is sent again, nothing acknowledged is lost: `chat` processes are killed,
//! stopped and raced against each other, and the books are compared with the fake provider's own.
//!
//! `CHAT_TEST_FULL=1` raises the counts, `CHAT_TEST_SEED` repeats a run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they counted"
)]

use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, is_full, seed};
mod failpoints;
mod kills;
mod races;
mod takeover;
mod tampering;
mod verdict;

use crate::kills::{Goals, kill_many, missed};
use crate::verdict::judge;

/// What a normal run counts: enough to hit every state, quick enough for every change.
const SHORT: Goals = Goals { each_state: 3, partial: 6, ended: 6, victims_max: 150 };

const FULL: Goals = Goals { each_state: 20, partial: 50, ended: 30, victims_max: 1_000 };

on_every_engine! {
    a_kill_at_any_moment_loses_nothing_and_bills_nothing_twice,
}

fn a_kill_at_any_moment_loses_nothing_and_bills_nothing_twice(engine: Engine) {
    let goals = if is_full() { FULL } else { SHORT };
    let scene = Scene::new(engine);
    let (victims, tally) = kill_many(&scene, &goals, seed());
    println!("{} sent; {tally}", victims.len());
    assert_eq!(missed(&tally, &goals), Vec::<String>::new(), "{tally}");

    scene.recover();
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    let captured = scene.provider.captured().unwrap();
    judge(&victims, &books, &charged, &captured).assert();
    println!("{}", scene.audit());

    // Recovery is redo: another one finds nothing to change.
    scene.recover();
    assert_eq!(scene.journal.books(), books);
}
