//! Refills: due by the calendar, given once.

use std::sync::Arc;

use chat_balance::{
    Account, AccountKind, AccountSpec, CreditKind, EntryKind, HoldRequest, LegRequest, Period,
    PeriodUnit, Refill, RefillMode,
};
use chat_types::{Money, Timestamp};

use super::books::{
    account, available, checked_books, credit, entries, hold, key, money, request, settlement, spec,
};
use crate::Ledger;
use crate::fixtures::{at, id, in_parallel, later, scope};

const MINUTE: i64 = 60_000;

fn refill(mode: RefillMode, amount: i64) -> Refill {
    let period = Period::new(1, PeriodUnit::Minute, "UTC").expect("a period");
    Refill { mode, amount: money(amount), period }
}

fn planned(mode: RefillMode, amount: i64, opening: i64) -> AccountSpec {
    AccountSpec {
        refill: Some(refill(mode, amount)),
        ..spec("main", AccountKind::Limited, opening)
    }
}

/// Opens `main` with a plan in the first minute.
async fn open(ledger: &dyn Ledger, mode: RefillMode, amount: i64, opening: i64) -> Refill {
    let planned = planned(mode, amount, opening);
    ledger.open_account(&scope(), &planned, at(1_000)).await.expect("opens");
    planned.refill.expect("has a plan")
}

async fn refresh(ledger: &dyn Ledger, refill: &Refill, now: Timestamp) -> Account {
    let seen = ledger.refresh(&scope(), &id("main"), Some(refill), now).await;
    seen.expect("refreshes").expect("is there")
}

/// Adding gives the amount for every period that has begun, in one entry, and nothing twice.
pub async fn add_gives_every_period_that_has_begun(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Add, 100, 30).await;
    for (now, granted) in
        [(MINUTE - 1, 30), (MINUTE, 130), (MINUTE + 59_999, 130), (4 * MINUTE + 5, 430)]
    {
        for _ in 0..2 {
            assert_eq!(refresh(&**ledger, &refill, at(now)).await.granted, money(granted));
        }
    }
    let grants: Vec<_> =
        entries(&**ledger).await.into_iter().map(|entry| entry.reference).collect();
    assert_eq!(grants, ["main/opening", "main/refill/60000", "main/refill/240000"]);
    checked_books(&**ledger).await;
}

/// Resetting makes the balance the amount, from below, from above, and from a debt; the entry is
/// the difference.
pub async fn reset_makes_the_balance(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Reset, 1_000, 500).await;
    let moved = async |kind: EntryKind, reference: &str| {
        let entries = entries(&**ledger).await;
        let entry = entries.iter().find(|e| e.kind == kind && e.reference == reference);
        entry.map(|entry| entry.amount.nano_usd())
    };
    refresh(&**ledger, &refill, at(MINUTE)).await;
    assert_eq!(moved(EntryKind::Grant, "main/refill/60000").await, Some(500));
    ledger.credit(&scope(), &credit(CreditKind::Grant, "more", 500)).await.expect("grants");
    refresh(&**ledger, &refill, at(2 * MINUTE)).await;
    assert_eq!(moved(EntryKind::Expiry, "main/refill/120000").await, Some(500));
    ledger.credit(&scope(), &credit(CreditKind::Adjustment, "owed", 1_100)).await.expect("takes");
    assert_eq!(available(&**ledger, "main").await, -100);
    refresh(&**ledger, &refill, at(3 * MINUTE)).await;
    assert_eq!(moved(EntryKind::Grant, "main/refill/180000").await, Some(1_100));
    assert_eq!(available(&**ledger, "main").await, 1_000);
    checked_books(&**ledger).await;
}

/// What is held counts as balance and does not run out under its hold.
pub async fn reset_leaves_what_is_held(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Reset, 100, 100).await;
    hold(&**ledger, "t-1", 80).await;
    let small = Refill { amount: money(50), ..refill.clone() };
    let seen = refresh(&**ledger, &small, at(MINUTE)).await;
    assert_eq!((seen.held, seen.available().ok()), (money(80), Some(Money::ZERO)));
    ledger.settle(&scope(), &settlement("t-1", &[70])).await.expect("settles");
    let seen = refresh(&**ledger, &refill, at(2 * MINUTE)).await;
    assert_eq!(seen.available().ok(), Some(money(100)));
    checked_books(&**ledger).await;
}

/// An account is opened full: its first refill comes with the next period.
pub async fn the_period_of_the_opening_is_filled(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Add, 100, 7).await;
    assert_eq!(refresh(&**ledger, &refill, at(2_000)).await.granted, money(7));
    checked_books(&**ledger).await;
}

/// An account that had no plan is filled in the period the plan is first seen in, not for the past.
pub async fn a_plan_that_comes_later_fills_its_first_period(ledger: &Arc<dyn Ledger>) {
    super::books::open(&**ledger, "main", 7).await;
    let refill = refill(RefillMode::Add, 100);
    assert_eq!(refresh(&**ledger, &refill, at(50 * MINUTE)).await.granted, money(107));
    assert_eq!(refresh(&**ledger, &refill, at(51 * MINUTE)).await.granted, money(207));
    checked_books(&**ledger).await;
}

/// Whoever comes first in a period fills it; 32 others at the same moment do not.
pub async fn a_due_refill_is_given_once_under_any_concurrency(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, RefillMode::Add, 100, 0).await;
    let held = in_parallel(32, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let leg = LegRequest {
                account: id("main"),
                amount: money(10),
                floor: money(10),
                refill: Some(refill(RefillMode::Add, 100)),
                warn_below: None,
            };
            let wanted = HoldRequest {
                legs: vec![leg],
                at: later(MINUTE, n),
                ..request(&format!("t-{n}"), 0)
            };
            ledger.hold(&scope(), &wanted).await.is_ok()
        }
    });
    assert_eq!(held.await.into_iter().filter(|held| *held).count(), 10);
    let books = checked_books(&**ledger).await;
    let refills = books.entries.iter().filter(|entry| entry.kind == EntryKind::Grant).count();
    assert_eq!(refills, 1);
    assert_eq!(account(&**ledger, "main").await.granted, money(100));
}

/// A hold in a new period finds it filled.
pub async fn a_hold_is_refilled_first(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Reset, 100, 100).await;
    hold(&**ledger, "t-1", 90).await;
    ledger.settle(&scope(), &settlement("t-1", &[90])).await.expect("settles");
    let leg = LegRequest {
        account: id("main"),
        amount: money(95),
        floor: money(95),
        refill: Some(refill),
        warn_below: None,
    };
    let wanted = HoldRequest { legs: vec![leg], at: at(MINUTE), ..request("t-2", 0) };
    ledger.hold(&scope(), &wanted).await.expect("is filled again");
    assert_eq!(available(&**ledger, "main").await, 5);
    checked_books(&**ledger).await;
}

/// A refusal names the moment at which more comes, and has refilled nothing by itself.
pub async fn a_refusal_says_when_it_is_refilled(ledger: &Arc<dyn Ledger>) {
    let refill = open(&**ledger, RefillMode::Reset, 100, 100).await;
    let leg = LegRequest {
        account: id("main"),
        amount: money(101),
        floor: money(101),
        refill: Some(refill),
        warn_below: None,
    };
    let wanted = HoldRequest { legs: vec![leg], at: at(MINUTE + 7), ..request("t-1", 0) };
    let refused = ledger.hold(&scope(), &wanted).await.expect_err("is short");
    let refusal = refused.refusal().expect("has numbers");
    assert_eq!((refusal.available, refusal.refill_at), (money(100), Some(at(2 * MINUTE))));
    assert_eq!(ledger.hold_of(&scope(), &key("t-1")).await.expect("reads"), None);
    checked_books(&**ledger).await;
}
