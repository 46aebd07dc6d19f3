//! M9: what a provider charges beyond the hold is posted, named, bounded by what it charged, told, and ends
//! the spending.

use chat_balance::EntryKind;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, request};
use chat_types::{Money, TurnState, UsageSource};

use crate::attempts::on_a_runtime;
use crate::notices::{kinds, untold};

/// Says as much as it may and charges 1.3 times that.
const MODEL: &str = "fake:out-plain:chunks-5000:one_write:overrun_percent-130";
const CAP: u64 = 1_000;

on_every_engine! {
    m9_a_charge_of_1_3_times_the_cap_is_one_overrun_and_the_next_turn_is_refused,
}

fn m9_a_charge_of_1_3_times_the_cap_is_one_overrun_and_the_next_turn_is_refused(engine: Engine) {
    let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
    let hold = options.hold_of(MODEL, "say it all", CAP);
    let scene = Scene::with(engine, &options.with_opening(hold));
    let sent = on_a_runtime(&scene, async |runtime| {
        let scope = runtime.scope("ada").unwrap();
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            let wanted = request(MODEL, "say it all", CAP);
            let turn = runtime.client().send_message(&scope, wanted).await.unwrap();
            outcomes.push(turn.outcome().await.unwrap());
            turn.settled().await;
        }
        outcomes
    });
    assert_eq!(sent[0].state, TurnState::Truncated);
    assert_eq!(sent[1].state, TurnState::Rejected);
    assert_eq!(sent[1].failure.as_ref().unwrap().code, "insufficient_funds");

    let charged = scene.provider.ledger().unwrap();
    assert_eq!((charged.totals.requests, charged.totals.tokens_out), (1, 1_300));
    let charge = Money::from_nano_usd(i64::try_from(charged.totals.charge_nano_usd).unwrap());
    let excess = charge.minus(hold).unwrap();
    assert!(excess > Money::ZERO, "{charge} is covered by {hold}");
    let books = scene.journal.books();
    let posted: Vec<_> = books.entries.iter().map(|entry| (entry.kind, entry.amount)).collect();
    let expected =
        [(EntryKind::Grant, hold), (EntryKind::Usage, hold), (EntryKind::Overrun, excess)];
    assert_eq!(posted, expected);
    let rows: Vec<_> = books.usage.iter().map(|row| (row.source, row.amount)).collect();
    assert_eq!(rows, [(UsageSource::Provider, charge)]);
    let [account] = books.accounts.as_slice() else {
        panic!("{:?}", books.accounts);
    };
    assert_eq!((account.posted, account.held), (charge, Money::ZERO));
    assert_eq!(account.available(), Money::ZERO.minus(excess));
    let told = untold(&scene, &[]);
    assert_eq!(kinds(&told), ["overrun", "refused"]);
    assert_eq!(told[0]["amount"], excess.nano_usd());
    assert_eq!(told[0]["limit"], hold.nano_usd());
    println!("held {hold}, charged {charge}, overrun {excess}");
    println!("{}", scene.audit());
}
