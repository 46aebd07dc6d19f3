//! Grants with a priority or an expiry: burned in order, run out once.

use std::sync::Arc;

use chat_balance::{
    BalanceErrorKind, Credit, CreditKind, Entry, EntryKind, HoldRequest, LOTS_MAX, Lot, PRIORITY,
    Side,
};
use chat_types::{Money, Timestamp};

use super::books::{
    account, assert_refused, available, checked_books, credit, entries, extension, hold, key, leg,
    money, open, request, settlement, wallet,
};
use crate::Ledger;
use crate::fixtures::{at, id, in_parallel, later, scope};

/// Holds are taken at 2,000 ms and settled at 3,000 ms.
const LATE: i64 = 2_500;

async fn grant(ledger: &dyn Ledger, key: &str, amount: i64, priority: u8, expires: Option<i64>) {
    let expires_at = expires.map(at);
    let granted = Credit { priority, expires_at, ..credit(CreditKind::Grant, key, amount) };
    ledger.credit(&scope(), &granted).await.expect("grants");
}

/// What is left of each lot of `main`, in burn order.
async fn lots(ledger: &dyn Ledger) -> Vec<(String, i64)> {
    let lots = account(ledger, "main").await.state.lots;
    lots.into_iter().map(|lot| (lot.key, lot.amount.nano_usd())).collect()
}

fn named(lots: &[(&str, i64)]) -> Vec<(String, i64)> {
    lots.iter().map(|(key, left)| ((*key).to_owned(), *left)).collect()
}

/// What ran out of `main`, as (reference, amount).
async fn ran_out(ledger: &dyn Ledger) -> Vec<(String, i64)> {
    let all = entries(ledger).await.into_iter().filter(|entry| entry.kind == EntryKind::Expiry);
    all.inspect(|entry| assert_eq!(sides(entry), (wallet("main"), Side::Expired)))
        .map(|entry| (entry.reference, entry.amount.nano_usd()))
        .collect()
}

fn sides(entry: &Entry) -> (Side, Side) {
    (entry.debit.clone(), entry.credit.clone())
}

/// Lower priorities burn first, then what runs out first, then what was granted first.
pub async fn lots_burn_by_priority_then_expiry_then_age(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    for (key, priority, expires) in [
        ("never", 10, None),
        ("late", 10, Some(9_000)),
        ("soon", 10, Some(8_000)),
        ("soon too", 10, Some(8_000)),
        ("first", 1, Some(9_999)),
    ] {
        grant(&**ledger, key, 10, priority, expires).await;
    }
    let order = [("first", 10), ("soon", 10), ("soon too", 10), ("late", 10), ("never", 10)];
    assert_eq!(lots(&**ledger).await, named(&order));
    hold(&**ledger, "t-1", 25).await;
    let left = [("soon too", 5), ("late", 10), ("never", 10)];
    assert_eq!(lots(&**ledger).await, named(&left));
    assert_eq!(available(&**ledger, "main").await, 25);
    let held = ledger.hold_of(&scope(), &key("t-1")).await.expect("reads").expect("is there");
    let parts: Vec<_> =
        held.legs[0].lots.iter().map(|lot| (lot.key.as_str(), lot.amount)).collect();
    assert_eq!(parts, [("first", money(10)), ("soon", money(10)), ("soon too", money(5))]);
    checked_books(&**ledger).await;
}

/// Money without priority and expiry burns after what comes before it, before what comes after.
pub async fn plain_money_burns_between_its_neighbours(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 10).await;
    grant(&**ledger, "last", 10, PRIORITY + 1, Some(9_000)).await;
    grant(&**ledger, "first", 10, PRIORITY, Some(9_000)).await;
    hold(&**ledger, "t-1", 15).await;
    assert_eq!(lots(&**ledger).await, named(&[("last", 10)]));
    hold(&**ledger, "t-2", 10).await;
    assert_eq!(lots(&**ledger).await, named(&[("last", 5)]));
    checked_books(&**ledger).await;
}

/// What is left of a grant runs out once, whoever comes first, and is named.
pub async fn a_lot_runs_out_once(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 3).await;
    grant(&**ledger, "gift", 10, PRIORITY, Some(LATE)).await;
    let early = ledger.refresh(&scope(), &id("main"), None, at(LATE - 1)).await.expect("reads");
    assert_eq!(early.expect("is there").available().ok(), Some(money(13)));
    let moments = in_parallel(16, |n| {
        let ledger = Arc::clone(ledger);
        async move { ledger.refresh(&scope(), &id("main"), None, later(LATE, n)).await }
    });
    for seen in moments.await {
        let seen = seen.expect("refreshes").expect("is there");
        assert_eq!((seen.expired, seen.available().ok()), (money(10), Some(money(3))));
    }
    assert_eq!(ran_out(&**ledger).await, named(&[("main/gift", 10)]));
    checked_books(&**ledger).await;
}

/// A hold taken before the expiry posts after it; only the rest of the grant runs out.
pub async fn what_is_held_outlives_its_expiry(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    grant(&**ledger, "gift", 10, PRIORITY, Some(LATE)).await;
    hold(&**ledger, "t-1", 8).await;
    let seen = ledger.refresh(&scope(), &id("main"), None, at(LATE)).await.expect("refreshes");
    assert_eq!(seen.expect("is there").available().ok(), Some(Money::ZERO));
    ledger.settle(&scope(), &settlement("t-1", &[5])).await.expect("settles");
    let stored = account(&**ledger, "main").await;
    assert_eq!((stored.posted, stored.expired), (money(5), money(5)));
    assert_eq!(ran_out(&**ledger).await, named(&[("main/gift", 2), ("main/gift/t-1/1", 3)]));
    checked_books(&**ledger).await;
}

/// What a release gives back is spendable again, or runs out if its time is over.
pub async fn a_released_lot_comes_back_or_runs_out(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    grant(&**ledger, "gift", 10, PRIORITY, Some(9_000)).await;
    hold(&**ledger, "t-1", 4).await;
    ledger.release(&scope(), &key("t-1"), at(3_000)).await.expect("releases");
    assert_eq!(lots(&**ledger).await, named(&[("gift", 10)]));
    hold(&**ledger, "t-2", 10).await;
    assert_eq!(lots(&**ledger).await, named(&[]));
    ledger.release(&scope(), &key("t-2"), at(9_000)).await.expect("releases");
    assert_eq!(ran_out(&**ledger).await, named(&[("main/gift/t-2/1", 10)]));
    assert_eq!(available(&**ledger, "main").await, 0);
    checked_books(&**ledger).await;
}

/// An extension takes lots into the hold; an overrun burns what is left of them.
pub async fn extensions_and_overruns_burn_lots(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    grant(&**ledger, "gift", 20, PRIORITY, Some(9_000)).await;
    hold(&**ledger, "t-1", 5).await;
    ledger.extend(&scope(), &key("t-1"), &extension(2, 5)).await.expect("extends");
    let held = ledger.hold_of(&scope(), &key("t-1")).await.expect("reads").expect("is there");
    let (priority, expires_at) = (PRIORITY, Some(at(9_000)));
    let whole =
        Lot { key: "gift".into(), amount: money(10), priority, expires_at, granted_at: at(1_500) };
    assert_eq!(held.legs[0].lots, [whole]);
    ledger.settle(&scope(), &settlement("t-1", &[14])).await.expect("settles");
    assert_eq!(lots(&**ledger).await, named(&[("gift", 6)]));
    hold(&**ledger, "t-2", 6).await;
    ledger.settle(&scope(), &settlement("t-2", &[8])).await.expect("settles");
    assert_eq!(available(&**ledger, "main").await, -2);
    checked_books(&**ledger).await;
}

/// A process whose clock is behind brings back nothing that has run out.
pub async fn time_does_not_go_back(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    grant(&**ledger, "gift", 10, PRIORITY, Some(LATE)).await;
    hold(&**ledger, "t-1", 4).await;
    ledger.refresh(&scope(), &id("main"), None, at(LATE)).await.expect("refreshes");
    ledger.release(&scope(), &key("t-1"), at(LATE - 500)).await.expect("releases");
    assert_eq!(lots(&**ledger).await, named(&[]));
    assert_eq!(account(&**ledger, "main").await.expired, money(10));
    checked_books(&**ledger).await;
}

/// Refunds and adjustments never run out, and a grant not before it is given.
pub async fn what_is_no_grant_has_no_expiry(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    let before = checked_books(&**ledger).await;
    let lot = |kind, expires_at: Option<Timestamp>, priority| Credit {
        expires_at,
        priority,
        ..credit(kind, "k", 5)
    };
    for wrong in [
        lot(CreditKind::Refund, Some(at(9_000)), PRIORITY),
        lot(CreditKind::Adjustment, None, 1),
        lot(CreditKind::Grant, Some(at(1_500)), PRIORITY),
        credit(CreditKind::Grant, "refill/1", 5),
    ] {
        let refused = ledger.credit(&scope(), &wrong).await;
        assert_refused(refused, BalanceErrorKind::InvalidAmount);
    }
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Lots are read and written with their account, so there is a bound.
pub async fn an_account_takes_so_many_lots(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    for n in 0..LOTS_MAX {
        grant(&**ledger, &format!("gift {n}"), 1, PRIORITY, Some(9_000)).await;
    }
    let one_more =
        Credit { expires_at: Some(at(9_000)), ..credit(CreditKind::Grant, "one more", 1) };
    let refused = ledger.credit(&scope(), &one_more).await;
    assert_refused(refused, BalanceErrorKind::InvalidAmount);
    let plain = credit(CreditKind::Grant, "plain", 1);
    ledger.credit(&scope(), &plain).await.expect("plain money needs no lot");
    assert_eq!(checked_books(&**ledger).await.accounts[0].1.state.lots.len(), LOTS_MAX);
}

/// An adjustment takes what an estimate took too little, lots first, below zero if need be.
pub async fn an_adjustment_is_a_late_overrun(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 2).await;
    grant(&**ledger, "gift", 3, PRIORITY, Some(9_000)).await;
    let adjustment = credit(CreditKind::Adjustment, "t-1/1/1", 7);
    let first = ledger.credit(&scope(), &adjustment).await.expect("adjusts");
    assert_eq!(sides(&first), (wallet("main"), Side::Revenue));
    assert_eq!(ledger.credit(&scope(), &adjustment).await.expect("adjusts once"), first);
    assert_eq!(lots(&**ledger).await, named(&[]));
    assert_eq!(available(&**ledger, "main").await, -2);
    checked_books(&**ledger).await;
}

/// Sixteen holds at the moment a lot runs out: each takes what there is, and it runs out once.
pub async fn parallel_holds_share_a_lot_and_its_expiry(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    grant(&**ledger, "gift", 40, PRIORITY, Some(LATE)).await;
    let held = in_parallel(16, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let legs = vec![leg("main", 5, 5)];
            let at = later(LATE - 8, n);
            let wanted = HoldRequest { legs, at, ..request(&format!("t-{n}"), 0) };
            ledger.hold(&scope(), &wanted).await.is_ok()
        }
    });
    let admitted = i64::try_from(held.await.into_iter().filter(|held| *held).count()).expect("few");
    let seen = ledger.refresh(&scope(), &id("main"), None, at(LATE)).await.expect("refreshes");
    let seen = seen.expect("is there");
    assert_eq!((seen.held, seen.expired), (money(admitted * 5), money(40 - admitted * 5)));
    assert!(ran_out(&**ledger).await.len() <= 1);
    checked_books(&**ledger).await;
}
