//! Parallel calls: never more than there is, one of many wins, a dropped call harms nobody.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chat_balance::{
    AccountKind, AccountUnit, BalanceErrorKind, CreditKind, HoldRequest, HoldState,
};

use chat_types::Money;

use super::books::{
    account, available, checked_books, credit, entries, extension, hold, key, leg, money, open,
    request, settlement, spec,
};
use crate::Ledger;
use crate::fixtures::{at, in_parallel, scope};

/// Of 256 holds at once on a balance of ten, ten are given.
pub async fn parallel_holds_never_exceed_the_balance(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 105).await;
    let answers = in_parallel(256, |n| {
        let ledger = Arc::clone(ledger);
        async move { ledger.hold(&scope(), &request(&format!("t-{n}"), 10)).await }
    })
    .await;
    let mut given = 0;
    for answer in answers {
        match answer {
            Ok(_) => given += 1,
            Err(error) => assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds, "{error}"),
        }
    }
    assert_eq!(given, 10);
    assert_eq!(account(&**ledger, "main").await.held, money(100));
    checked_books(&**ledger).await;
}

/// Holds that shrink share what there is, to the last unit.
pub async fn parallel_shrinking_holds_share_what_there_is(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let answers = in_parallel(32, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let legs = vec![leg("main", 30, 0)];
            let wanted = HoldRequest { legs, ..request(&format!("t-{n}"), 0) };
            ledger
                .hold(&scope(), &wanted)
                .await
                .expect("holds")
                .covered(AccountUnit::Usd)
                .map_or(0, Money::nano_usd)
        }
    })
    .await;
    assert_eq!(answers.iter().sum::<i64>(), 100);
    checked_books(&**ledger).await;
}

/// Holds over two accounts named in either order neither block each other nor overdraw.
pub async fn parallel_holds_in_either_order_do_not_deadlock(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 40).await;
    open(&**ledger, "other", 20).await;
    let answers = in_parallel(64, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let mut legs = vec![leg("main", 1, 1), leg("other", 1, 1)];
            if n % 2 == 0 {
                legs.reverse();
            }
            let wanted = HoldRequest { legs, ..request(&format!("t-{n}"), 0) };
            ledger.hold(&scope(), &wanted).await.is_ok()
        }
    })
    .await;
    assert_eq!(answers.into_iter().filter(|given| *given).count(), 20);
    assert_eq!(available(&**ledger, "main").await, 20);
    checked_books(&**ledger).await;
}

/// The same hold asked for 64 times at once is one hold.
pub async fn parallel_repeats_of_a_hold_are_one(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    in_parallel(64, |_| {
        let ledger = Arc::clone(ledger);
        async move { hold(&*ledger, "t-1", 10).await }
    })
    .await;
    assert_eq!(account(&**ledger, "main").await.held, money(10));
    assert_eq!(checked_books(&**ledger).await.holds.len(), 1);
}

/// The same extension asked for 64 times at once is one.
pub async fn parallel_extensions_for_one_attempt_are_one(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 10).await;
    in_parallel(64, |_| {
        let ledger = Arc::clone(ledger);
        async move {
            let extended = ledger.extend(&scope(), &key("t-1"), &extension(2, 5)).await;
            assert_eq!(extended.expect("extends").covered(AccountUnit::Usd), Some(money(15)));
        }
    })
    .await;
    assert_eq!(account(&**ledger, "main").await.held, money(15));
    checked_books(&**ledger).await;
}

/// Settled 64 times at once, with different amounts, a hold is posted once; all hear the same.
pub async fn parallel_settles_post_once(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 70).await;
    let answers = in_parallel(64, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let amount = i64::try_from(n).expect("small");
            ledger.settle(&scope(), &settlement("t-1", &[amount])).await.expect("settles")
        }
    })
    .await;
    let first = &answers[0];
    assert!(answers.iter().all(|answer| answer == first), "everybody hears the first result");
    assert_eq!(account(&**ledger, "main").await.posted, first.legs[0].posted);
    assert_eq!(entries(&**ledger).await.len(), 2);
    checked_books(&**ledger).await;
}

/// Settled and released at once, a hold is resolved in one way.
pub async fn parallel_settle_and_release_have_one_winner(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let answers = in_parallel(64, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            if n % 2 == 0 {
                ledger.settle(&scope(), &settlement("t-1", &[12])).await
            } else {
                ledger.release(&scope(), &key("t-1"), at(3_000)).await
            }
        }
    })
    .await;
    let stored = ledger.hold_of(&scope(), &key("t-1")).await.expect("reads").expect("is there");
    let mut agreed = 0;
    for answer in answers {
        match answer {
            Ok(hold) => {
                assert_eq!(hold, stored);
                agreed += 1;
            }
            Err(error) => assert_eq!(error.kind(), BalanceErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(agreed, 32);
    let left = if stored.state == HoldState::Posted { 88 } else { 100 };
    assert_eq!(available(&**ledger, "main").await, left);
    checked_books(&**ledger).await;
}

/// An account opened and credited 32 times at once is opened once and credited once.
pub async fn parallel_credits_count_once(ledger: &Arc<dyn Ledger>) {
    in_parallel(32, |_| {
        let ledger = Arc::clone(ledger);
        async move {
            let spec = spec("main", AccountKind::Limited, 100);
            ledger.open_account(&scope(), &spec, at(1_000)).await.expect("opens");
            let grant = credit(CreditKind::Grant, "k", 5);
            ledger.credit(&scope(), &grant).await.expect("credits");
        }
    })
    .await;
    assert_eq!(available(&**ledger, "main").await, 105);
    assert_eq!(checked_books(&**ledger).await.entries.len(), 2);
}

/// 100 calls dropped after their first poll leave sound books, and the next 100 succeed.
pub async fn dropped_call_leaves_ledger_healthy(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100_000).await;
    for n in 0..100 {
        let request = request(&format!("dropped-{n}"), 10);
        let scope = scope();
        let call = pin!(ledger.hold(&scope, &request));
        let _dropped_here = call.poll(&mut Context::from_waker(Waker::noop()));
    }
    for n in 0..100 {
        let turn = format!("t-{n}");
        hold(&**ledger, &turn, 10).await;
        ledger.settle(&scope(), &settlement(&turn, &[7])).await.expect("settles");
    }
    assert_eq!(account(&**ledger, "main").await.posted, money(700));
    for n in 0..100 {
        // Asked for again, a hold whose call was dropped is there, once.
        hold(&**ledger, &format!("dropped-{n}"), 10).await;
    }
    assert_eq!(account(&**ledger, "main").await.held, money(1_000));
    checked_books(&**ledger).await;
}
