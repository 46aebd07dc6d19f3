//! M6: money that comes in counts once: top-ups, grants, refunds, and the grant an account opens with.

use std::sync::Arc;

use chat_balance::{BalanceErrorKind, CreditKind, EntryKind};
use chat_testkit::{Layered, LostAck};
use chat_tests::on_every_engine;
use chat_tests::scene::Engine;

use crate::bank::{Bank, Desk, credit, in_parallel, kind_of, nano, scope};

/// Calls of one write at a time.
const CALLS: usize = 64;

on_every_engine! {
    m6_a_credit_asked_for_64_times_at_once_is_one_entry,
    m6_a_credit_whose_answer_is_lost_is_one_entry,
    m6_a_key_with_another_amount_is_a_conflict_and_no_entry,
}

/// A grant, a top-up (a grant under another key) and a refund.
const WRITES: [(CreditKind, &str, i64); 3] = [
    (CreditKind::Grant, "gift", 500),
    (CreditKind::Grant, "top-up-1", 70),
    (CreditKind::Refund, "gift", 9),
];

fn m6_a_credit_asked_for_64_times_at_once_is_one_entry(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        let opened = in_parallel(CALLS, |_| {
            let desk = desk.clone();
            async move { desk.open("ada", 1_000).await }
        });
        let opened = opened.await;
        assert!(opened.iter().all(|account| account.granted == nano(1_000)));
        for (number, (kind, key, amount)) in WRITES.into_iter().enumerate() {
            let answers = in_parallel(CALLS, |_| {
                let ledger = Arc::clone(&desk.ledger);
                async move { ledger.credit(&scope(), &credit(kind, "ada", key, amount)).await.unwrap() }
            });
            let answers = answers.await;
            assert!(answers.iter().all(|answer| *answer == answers[0]), "all hear the same");
            let entries = desk.entries().await;
            assert_eq!(entries.len(), number + 2, "{entries:?}");
            assert_eq!(entries[number + 1], answers[0]);
        }
        let account = desk.account("ada").await;
        assert_eq!((account.granted, account.refunded), (nano(1_570), nano(9)));
    });
}

fn m6_a_credit_whose_answer_is_lost_is_one_entry(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        let losing = Arc::new(LostAck::every(1));
        let lossy = Desk { ledger: layered(desk, Arc::clone(&losing)), ..desk.clone() };
        lossy.open("ada", 1_000).await;
        for (kind, key, amount) in WRITES {
            let entry = lossy.ledger.credit(&scope(), &credit(kind, "ada", key, amount)).await;
            assert_eq!(entry.unwrap().amount, nano(amount));
        }
        lossy.spend("t", "ada", 100, 40).await;
        assert_eq!(losing.lost(), 6, "the opening, three credits, a hold and its settlement");
        let entries = desk.entries().await;
        let amounts: Vec<_> =
            entries.iter().map(|entry| (entry.kind, entry.amount.nano_usd())).collect();
        let expected = [
            (EntryKind::Grant, 1_000),
            (EntryKind::Grant, 500),
            (EntryKind::Grant, 70),
            (EntryKind::Refund, 9),
            (EntryKind::Usage, 40),
        ];
        assert_eq!(amounts, expected);
        assert_eq!(desk.available("ada").await, 1_579 - 40);
    });
}

fn layered(desk: &Desk, layer: Arc<LostAck>) -> Arc<Layered> {
    Arc::new(Layered {
        store: Arc::clone(&desk.stores.persistence),
        maintenance: Arc::clone(&desk.stores.maintenance),
        ledger: Arc::clone(&desk.ledger),
        ledger_maintenance: Arc::clone(&desk.books),
        usage: Arc::clone(&desk.usage),
        layer,
    })
}

fn m6_a_key_with_another_amount_is_a_conflict_and_no_entry(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 1_000).await;
        for (kind, key, amount) in WRITES {
            desk.ledger.credit(&scope(), &credit(kind, "ada", key, amount)).await.unwrap();
        }
        let (before, account) = (desk.entries().await, desk.account("ada").await);
        for (kind, key, amount) in WRITES {
            let answers = in_parallel(CALLS, |_| {
                let ledger = Arc::clone(&desk.ledger);
                let other = credit(kind, "ada", key, amount + 1);
                async move { kind_of(ledger.credit(&scope(), &other).await) }
            });
            let answers = answers.await;
            assert!(answers.iter().all(|kind| *kind == BalanceErrorKind::Conflict), "{answers:?}");
        }
        assert_eq!(desk.entries().await, before);
        assert_eq!(desk.account("ada").await, account);
    });
}
