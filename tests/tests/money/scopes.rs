//! M10: a hold over a user, a team and a key is taken from all of them or from none.

use std::sync::Arc;

use chat_balance::{Account, BalanceErrorKind, HoldState};
use chat_tests::on_every_engine;
use chat_tests::scene::Engine;

use crate::bank::{Bank, Desk, hold_request, in_parallel, key, kind_of, scope, settlement};

/// In the order in which a ledger takes them.
const SCOPES: [&str; 3] = ["key", "team", "user"];
const CALLS: usize = 100;

on_every_engine! {
    m10_a_hundred_holds_that_the_last_account_cannot_pay_leave_the_others_alone,
    m10_a_fault_at_the_second_account_leaves_all_three_alone,
}

async fn accounts(desk: &Desk) -> Vec<Account> {
    let mut accounts = Vec::new();
    for name in SCOPES {
        accounts.push(desk.account(name).await);
    }
    accounts
}

fn legs(amount: i64) -> [(&'static str, i64); 3] {
    SCOPES.map(|name| (name, amount))
}

fn m10_a_hundred_holds_that_the_last_account_cannot_pay_leave_the_others_alone(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        for (name, opening) in SCOPES.into_iter().zip([1_000_000, 1_000_000, 50]) {
            desk.open(name, opening).await;
        }
        // All of the last account is held.
        desk.ledger.hold(&scope(), &hold_request("first", &[("user", 50)])).await.unwrap();
        let before = accounts(desk).await;
        let refused = in_parallel(CALLS, |number| {
            let ledger = Arc::clone(&desk.ledger);
            let request = hold_request(&format!("t-{number}"), &legs(10));
            async move { ledger.hold(&scope(), &request).await.unwrap_err() }
        });
        for error in refused.await {
            assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds, "{error}");
            assert_eq!(error.refusal().unwrap().account.as_str(), "user");
        }
        assert_eq!(accounts(desk).await, before);
        assert_eq!(desk.holds().await.len(), 1);
    });
}

fn m10_a_fault_at_the_second_account_leaves_all_three_alone(engine: Engine) {
    let bank = Bank::on(engine);
    let before = bank.visit(async |desk| {
        for name in SCOPES {
            desk.open(name, 1_000).await;
        }
        desk.ledger.hold(&scope(), &hold_request("held", &legs(100))).await.unwrap();
        (accounts(desk).await, desk.holds().await, desk.entries().await)
    });
    let database = bank.database.as_ref().unwrap();
    database.refuse_changes_of("team");
    bank.visit(async |desk| {
        let held = desk.ledger.hold(&scope(), &hold_request("t", &legs(10))).await;
        println!("{engine:?}: {:?}", kind_of(held));
        let settled = desk.ledger.settle(&scope(), &settlement("held", &[70])).await;
        kind_of(settled);
        let released = desk.ledger.release(&scope(), &key("held"), crate::bank::NOW).await;
        kind_of(released);
        let after = (accounts(desk).await, desk.holds().await, desk.entries().await);
        assert_eq!(after, before);
    });
    database.allow_changes();
    bank.visit(async |desk| {
        let hold = desk.ledger.hold(&scope(), &hold_request("t", &legs(10))).await.unwrap();
        assert_eq!(hold.state, HoldState::Open);
        desk.ledger.settle(&scope(), &settlement("held", &[70])).await.unwrap();
        for name in SCOPES {
            assert_eq!(desk.available(name).await, 1_000 - 10 - 70);
        }
    });
}
