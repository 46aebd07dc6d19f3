//! Holds and extensions: all legs or none, never more than there is.

use std::sync::Arc;

use chat_balance::{AccountKind, AccountUnit, BalanceErrorKind, HoldRequest, Refusal};
use chat_types::Money;

use super::books::{
    account, assert_refused, available, checked_books, extension, hold, key, leg, money, open,
    opened, request, settlement, spec,
};
use crate::Ledger;
use crate::fixtures::{at, id, scope};

/// A hold reserves what it asks for.
pub async fn hold_reserves(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let request = request("t-1", 30);
    let held = ledger.hold(&scope(), &request).await.expect("holds");
    assert_eq!(held, opened(&request));
    assert_eq!(ledger.hold_of(&scope(), &key("t-1")).await.expect("reads"), Some(held));
    assert_eq!(account(&**ledger, "main").await.held, money(30));
    assert_eq!(available(&**ledger, "main").await, 70);
    checked_books(&**ledger).await;
}

/// The same hold again is one hold, also when there is nothing left.
pub async fn hold_again_is_one_hold(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let first = hold(&**ledger, "t-1", 100).await;
    let before = checked_books(&**ledger).await;
    assert_eq!(hold(&**ledger, "t-1", 100).await, first);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// A resolved hold is not taken again.
pub async fn hold_again_after_its_end_changes_nothing(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 10).await;
    let settled = ledger.settle(&scope(), &settlement("t-1", &[4])).await.expect("settles");
    hold(&**ledger, "t-2", 10).await;
    let released = ledger.release(&scope(), &key("t-2"), at(3_000)).await.expect("releases");
    let before = checked_books(&**ledger).await;
    assert_eq!(hold(&**ledger, "t-1", 10).await, settled);
    assert_eq!(hold(&**ledger, "t-2", 10).await, released);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// A key stands for its accounts: over others it is a conflict.
pub async fn hold_over_other_accounts_is_a_conflict(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    open(&**ledger, "other", 100).await;
    hold(&**ledger, "t-1", 10).await;
    let before = checked_books(&**ledger).await;
    let other = HoldRequest { legs: vec![leg("other", 10, 10)], ..request("t-1", 10) };
    assert_refused(ledger.hold(&scope(), &other).await, BalanceErrorKind::Conflict);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Between floor and amount a hold takes what there is.
pub async fn hold_shrinks_down_to_its_floor(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 60).await;
    for (turn, floor, given) in [("t-2", 40, 40), ("t-3", 0, 0)] {
        let wanted = HoldRequest { legs: vec![leg("main", 80, floor)], ..request(turn, 0) };
        let held = ledger.hold(&scope(), &wanted).await.expect("holds");
        assert_eq!(held.covered(AccountUnit::Usd), Some(money(given)));
    }
    assert_eq!(available(&**ledger, "main").await, 0);
    checked_books(&**ledger).await;
}

/// Below its floor a hold is refused, with the numbers, and changes nothing.
pub async fn hold_below_its_floor_is_refused(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 60).await;
    let before = checked_books(&**ledger).await;
    let wanted = HoldRequest { legs: vec![leg("main", 80, 41)], ..request("t-2", 0) };
    let error = ledger.hold(&scope(), &wanted).await.expect_err("is short");
    assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds);
    let expected = Refusal {
        unit: AccountUnit::Usd,
        account: id("main"),
        need: money(41),
        available: money(40),
        held: money(60),
        refill_at: None,
    };
    assert_eq!(error.refusal(), Some(&expected));
    assert_eq!(ledger.hold_of(&scope(), &key("t-2")).await.expect("reads"), None);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// A refused hold can be asked for again once there is money.
pub async fn refused_hold_succeeds_after_a_grant(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 10).await;
    let refused = ledger.hold(&scope(), &request("t-1", 20)).await;
    assert_refused(refused, BalanceErrorKind::InsufficientFunds);
    let grant = super::books::credit(chat_balance::CreditKind::Grant, "more", 10);
    ledger.credit(&scope(), &grant).await.expect("credits");
    hold(&**ledger, "t-1", 20).await;
    assert_eq!(available(&**ledger, "main").await, 0);
}

/// Over several accounts a hold takes all legs or none.
pub async fn hold_takes_all_legs_or_none(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    open(&**ledger, "quota", 5).await;
    let before = checked_books(&**ledger).await;
    let both = |turn: &str, quota: i64| HoldRequest {
        legs: vec![leg("main", 50, 50), leg("quota", quota, quota)],
        ..request(turn, 0)
    };
    let error = ledger.hold(&scope(), &both("t-1", 6)).await.expect_err("is short");
    assert_eq!(error.refusal().map(|refusal| &refusal.account), Some(&id("quota")));
    assert_eq!(checked_books(&**ledger).await, before);

    let held = ledger.hold(&scope(), &both("t-1", 5)).await.expect("holds");
    assert_eq!(held, opened(&both("t-1", 5)));
    assert_eq!(available(&**ledger, "main").await, 50);
    assert_eq!(available(&**ledger, "quota").await, 0);
    checked_books(&**ledger).await;
}

/// Requests that make no sense are refused and change nothing.
pub async fn bad_holds_are_refused(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let before = checked_books(&**ledger).await;
    let too_many = (0..17).map(|n| leg(&format!("a-{n}"), 1, 1)).collect();
    for legs in [
        Vec::new(),
        too_many,
        vec![leg("main", 1, 1), leg("main", 1, 1)],
        vec![leg("main", 1, 2)],
        vec![leg("main", 1, -1)],
        vec![leg("main", -2, -2)],
    ] {
        let held = ledger.hold(&scope(), &HoldRequest { legs, ..request("t-1", 0) }).await;
        assert_refused(held, BalanceErrorKind::InvalidAmount);
    }
    let legs = vec![leg("main", 1, 1), leg("nothing", 1, 1)];
    let held = ledger.hold(&scope(), &HoldRequest { legs, ..request("t-1", 0) }).await;
    assert_refused(held, BalanceErrorKind::NotFound);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// An unlimited account always gives, and its holds and postings are booked all the same.
pub async fn unlimited_accounts_hold_and_post(ledger: &Arc<dyn Ledger>) {
    let unlimited = spec("main", AccountKind::Unlimited, 0);
    ledger.open_account(&scope(), &unlimited, at(1_000)).await.expect("opens");
    hold(&**ledger, "t-1", 1_000).await;
    assert_eq!(account(&**ledger, "main").await.held, money(1_000));
    ledger.settle(&scope(), &settlement("t-1", &[400])).await.expect("settles");
    let stored = account(&**ledger, "main").await;
    assert_eq!((stored.held, stored.posted), (Money::ZERO, money(400)));
    assert_eq!(checked_books(&**ledger).await.entries.len(), 1);
}

/// An extension reserves more on every leg, once per attempt.
pub async fn extend_reserves_more_once_per_attempt(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 10).await;
    for (attempt, held) in [(1, 10), (2, 15), (2, 15), (3, 20), (2, 20), (1, 20)] {
        let extended = ledger.extend(&scope(), &key("t-1"), &extension(attempt, 5)).await;
        assert_eq!(
            extended.expect("extends").covered(AccountUnit::Usd),
            Some(money(held)),
            "attempt {attempt}"
        );
        assert_eq!(account(&**ledger, "main").await.held, money(held));
    }
    checked_books(&**ledger).await;
}

/// An extension that one leg cannot give changes nothing.
pub async fn extend_takes_all_legs_or_none(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    open(&**ledger, "quota", 12).await;
    let legs = vec![leg("main", 10, 10), leg("quota", 10, 10)];
    ledger.hold(&scope(), &HoldRequest { legs, ..request("t-1", 0) }).await.expect("holds");
    let before = checked_books(&**ledger).await;
    let extended = ledger.extend(&scope(), &key("t-1"), &extension(2, 3)).await;
    assert_refused(extended, BalanceErrorKind::InsufficientFunds);
    assert_eq!(checked_books(&**ledger).await, before);
    ledger.extend(&scope(), &key("t-1"), &extension(2, 2)).await.expect("extends");
}

/// A resolved hold is not extended, nor one that is not there.
pub async fn extend_needs_an_open_hold(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 10).await;
    hold(&**ledger, "t-2", 10).await;
    ledger.settle(&scope(), &settlement("t-1", &[4])).await.expect("settles");
    ledger.release(&scope(), &key("t-2"), at(3_000)).await.expect("releases");
    let before = checked_books(&**ledger).await;
    let extend = async |turn: &str| ledger.extend(&scope(), &key(turn), &extension(2, 5)).await;
    assert_refused(extend("t-1").await, BalanceErrorKind::Conflict);
    assert_refused(extend("t-2").await, BalanceErrorKind::Conflict);
    assert_refused(extend("t-3").await, BalanceErrorKind::NotFound);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// The largest amounts are held and posted without a wrap.
pub async fn the_largest_amounts_fit(ledger: &Arc<dyn Ledger>) {
    let all = Money::MAX.nano_usd();
    open(&**ledger, "main", all).await;
    hold(&**ledger, "t-1", all).await;
    ledger.settle(&scope(), &settlement("t-1", &[all])).await.expect("settles");
    assert_eq!(account(&**ledger, "main").await.posted, Money::MAX);
    assert_eq!(available(&**ledger, "main").await, 0);
    checked_books(&**ledger).await;
}
