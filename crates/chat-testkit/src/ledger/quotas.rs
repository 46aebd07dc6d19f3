//! Quotas: accounts that count requests or tokens, held together with the money.

use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceErrorKind, Extension, HoldRequest, LegRequest,
    Period, PeriodUnit, Posting, Refill, RefillMode, Settlement,
};
use chat_types::Tokens;

use super::books::{account, available, checked_books, key, leg, money, open, request, spec};
use crate::Ledger;
use crate::fixtures::{at, id, scope};

/// Dollars, requests and tokens.
async fn open_all(ledger: &dyn Ledger) {
    open(ledger, "main", 100).await;
    for (name, unit, opening) in
        [("calls", AccountUnit::Requests, 2), ("tokens", AccountUnit::Tokens, 1_000)]
    {
        let quota = AccountSpec { unit, ..spec(name, AccountKind::Limited, opening) };
        ledger.open_account(&scope(), &quota, at(1_000)).await.expect("opens");
    }
}

fn over_all(turn: &str) -> HoldRequest {
    let legs = vec![leg("main", 40, 40), leg("calls", 1, 1), leg("tokens", 700, 300)];
    HoldRequest { legs, ..request(turn, 0) }
}

/// A settlement posts dollars to money, one request for each attempt, tokens to tokens.
pub async fn each_leg_counts_in_its_own_unit(ledger: &Arc<dyn Ledger>) {
    open_all(&**ledger).await;
    let held = ledger.hold(&scope(), &over_all("t-1")).await.expect("holds");
    assert_eq!(held.covered(AccountUnit::Usd), Some(money(40)));
    assert_eq!(held.covered(AccountUnit::Requests), Some(money(1)));
    assert_eq!(held.covered(AccountUnit::Tokens), Some(money(700)));
    let postings = vec![Posting { attempt: 1, amount: money(30), tokens: Tokens::new(450) }];
    let settlement = Settlement { key: key("t-1"), postings, at: at(3_000) };
    ledger.settle(&scope(), &settlement).await.expect("settles");
    for (name, unit, posted, left) in [
        ("main", AccountUnit::Usd, 30, 70),
        ("calls", AccountUnit::Requests, 1, 1),
        ("tokens", AccountUnit::Tokens, 450, 550),
    ] {
        let stored = account(&**ledger, name).await;
        assert_eq!((stored.unit, stored.posted), (unit, money(posted)), "{name}");
        assert_eq!(available(&**ledger, name).await, left, "{name}");
    }
    // Between floor and amount a quota of tokens gives what it has.
    let held = ledger.hold(&scope(), &over_all("t-2")).await.expect("holds");
    assert_eq!(held.covered(AccountUnit::Tokens), Some(money(550)));
    checked_books(&**ledger).await;
}

/// One quota that is used up refuses the hold on all accounts, in its own words.
pub async fn a_full_quota_refuses_the_whole_hold(ledger: &Arc<dyn Ledger>) {
    open_all(&**ledger).await;
    for turn in ["t-1", "t-2"] {
        let legs = vec![leg("main", 10, 10), leg("calls", 1, 1)];
        ledger.hold(&scope(), &HoldRequest { legs, ..request(turn, 0) }).await.expect("holds");
    }
    let before = checked_books(&**ledger).await;
    let error = ledger.hold(&scope(), &over_all("t-3")).await.expect_err("is used up");
    assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds);
    let refusal = error.refusal().expect("has numbers");
    assert_eq!((&refusal.account, refusal.unit), (&id("calls"), AccountUnit::Requests));
    assert!(error.to_string().contains("1 requests"), "{error}");
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Each account has its own plan: a quota of today is full again tomorrow, the money is not.
pub async fn a_quota_is_refilled_apart_from_the_money(ledger: &Arc<dyn Ledger>) {
    open_all(&**ledger).await;
    let day = Period::new(1, PeriodUnit::Day, "Europe/Berlin").expect("a period");
    let daily = Refill { mode: RefillMode::Reset, amount: money(2), period: day };
    let calls = LegRequest { refill: Some(daily), ..leg("calls", 1, 1) };
    let hold_at = async |turn: &str, ms: i64| {
        let legs = vec![leg("main", 10, 10), calls.clone()];
        ledger.hold(&scope(), &HoldRequest { legs, at: at(ms), ..request(turn, 0) }).await
    };
    // 1970-01-01 was an hour old in Berlin at zero; its next day begins at 23:00 UTC.
    let midnight = 23 * 3_600_000;
    hold_at("t-1", 2_000).await.expect("holds");
    hold_at("t-2", 2_000).await.expect("holds");
    let refused = hold_at("t-3", midnight - 1).await.expect_err("two a day");
    assert_eq!(refused.refusal().and_then(|refusal| refusal.refill_at), Some(at(midnight)));
    for turn in ["t-1", "t-2"] {
        ledger.release(&scope(), &key(turn), at(3_000)).await.expect("releases");
    }
    hold_at("t-4", midnight).await.expect("another day");
    assert_eq!(available(&**ledger, "calls").await, 1);
    assert_eq!(available(&**ledger, "main").await, 90);
    checked_books(&**ledger).await;
}

/// Another attempt is one request more, and more tokens.
pub async fn an_extension_is_one_request_more(ledger: &Arc<dyn Ledger>) {
    open_all(&**ledger).await;
    ledger.hold(&scope(), &over_all("t-1")).await.expect("holds");
    let extension =
        Extension { attempt: 2, amount: money(5), tokens: Tokens::new(200), at: at(2_500) };
    let held = ledger.extend(&scope(), &key("t-1"), &extension).await.expect("extends");
    let amounts: Vec<i64> = held.legs.iter().map(|leg| leg.amount.nano_usd()).collect();
    assert_eq!(amounts, [45, 2, 900]);
    checked_books(&**ledger).await;
}
