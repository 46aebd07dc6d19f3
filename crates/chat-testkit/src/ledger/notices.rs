//! Notices: written with the fact, once per fact, kept until they are delivered or too old.

use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceErrorKind, CreditKind, Entry, Hold, HoldRequest,
    LedgerRows, LegRequest, Notice, NoticeKind, Settlement,
};
use chat_types::{Scope, TenantId};

use super::books::{
    ALL, account, assert_refused, books, checked_books, credit, extension, hold, key, leg, money,
    open, request, settlement, spec,
};
use crate::Ledger;
use crate::fixtures::{at, id, in_parallel, scope, strangers};

/// A notice about account `main` or another.
fn notice(name: &str, kind: NoticeKind, key_text: &str, turn: &str) -> Notice {
    Notice {
        scope: scope(),
        key: key_text.into(),
        kind,
        account: id(name),
        unit: AccountUnit::Usd,
        step: key(turn),
        amount: money(0),
        limit: money(0),
        at: at(2_000),
    }
}

/// A hold whose plan calls `main` low below 50.
fn warned(turn: &str, amount: i64) -> HoldRequest {
    let leg = LegRequest { warn_below: Some(money(50)), ..leg("main", amount, amount) };
    HoldRequest { legs: vec![leg], ..request(turn, amount) }
}

async fn notices(ledger: &dyn Ledger) -> Vec<Notice> {
    ledger.notices(ALL).await.expect("reads")
}

async fn keys(ledger: &dyn Ledger) -> Vec<String> {
    notices(ledger).await.into_iter().map(|notice| notice.key).collect()
}

async fn deliver_all(ledger: &dyn Ledger) {
    let told = notices(ledger).await;
    let told: Vec<_> = told.into_iter().map(|notice| (notice.scope.tenant, notice.key)).collect();
    ledger.delivered(&told).await.expect("forgets");
}

/// An overrun leaves one notice: how much it was, and what was held.
pub async fn an_overrun_leaves_one_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    hold(&**ledger, "t-1", 20).await;
    ledger.settle(&scope(), &settlement("t-1", &[15, 8])).await.expect("settles");
    let expected = Notice {
        amount: money(3),
        limit: money(20),
        at: at(3_000),
        ..notice("main", NoticeKind::Overrun, "main/overrun/t-1/1", "t-1")
    };
    assert_eq!(notices(&**ledger).await, [expected]);
}

/// A settlement within its hold, and one that is refused, leave none.
pub async fn what_is_as_planned_leaves_no_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    ledger.hold(&scope(), &warned("t-1", 20)).await.expect("holds");
    let bad = Settlement { postings: Vec::new(), ..settlement("t-1", &[]) };
    assert_refused(ledger.settle(&scope(), &bad).await, BalanceErrorKind::InvalidAmount);
    ledger.settle(&scope(), &settlement("t-1", &[20])).await.expect("settles");
    ledger.hold(&scope(), &warned("t-2", 70)).await.expect("holds");
    ledger.release(&scope(), &key("t-2"), at(3_000)).await.expect("releases");
    assert_eq!(notices(&**ledger).await, []);
}

/// A hold refused for want of funds leaves its notice, and nothing else.
pub async fn a_refused_hold_leaves_its_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    let before = books(&**ledger).await;
    for _ in 0..2 {
        let refused = ledger.hold(&scope(), &request("t-1", 40)).await;
        assert_refused(refused, BalanceErrorKind::InsufficientFunds);
    }
    let expected = Notice {
        amount: money(40),
        limit: money(30),
        ..notice("main", NoticeKind::Refused, "main/refused/t-1/1", "t-1")
    };
    assert_eq!(notices(&**ledger).await, [expected]);
    assert_eq!(books(&**ledger).await, before);
}

/// So does an extension.
pub async fn a_refused_extension_leaves_its_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    hold(&**ledger, "t-1", 20).await;
    let before = books(&**ledger).await;
    let refused = ledger.extend(&scope(), &key("t-1"), &extension(2, 11)).await;
    assert_refused(refused, BalanceErrorKind::InsufficientFunds);
    let expected = Notice {
        amount: money(11),
        limit: money(10),
        at: at(2_500),
        ..notice("main", NoticeKind::Refused, "main/refused/t-1/1", "t-1")
    };
    assert_eq!(notices(&**ledger).await, [expected]);
    assert_eq!(books(&**ledger).await, before);
}

/// What is refused for another reason leaves none.
pub async fn bad_calls_leave_no_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    let unknown = HoldRequest { legs: vec![leg("nobody", 1, 1)], ..request("t-1", 1) };
    assert_refused(ledger.hold(&scope(), &unknown).await, BalanceErrorKind::NotFound);
    let bad = HoldRequest { legs: Vec::new(), ..request("t-1", 1) };
    assert_refused(ledger.hold(&scope(), &bad).await, BalanceErrorKind::InvalidAmount);
    assert_eq!(notices(&**ledger).await, []);
}

/// A balance that a step brings below the threshold is told, once, and again only after it was
/// above.
pub async fn a_low_balance_is_told_once_per_crossing(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    ledger.hold(&scope(), &warned("t-1", 60)).await.expect("holds");
    assert_eq!(notices(&**ledger).await, [], "what is held is still there");
    ledger.settle(&scope(), &settlement("t-1", &[60])).await.expect("settles");
    let first = Notice {
        amount: money(40),
        limit: money(50),
        at: at(3_000),
        ..notice("main", NoticeKind::LowBalance, "main/low/t-1/1/end", "t-1")
    };
    assert_eq!(notices(&**ledger).await, [first]);
    ledger.hold(&scope(), &warned("t-2", 10)).await.expect("holds");
    ledger.settle(&scope(), &settlement("t-2", &[10])).await.expect("settles");
    assert_eq!(keys(&**ledger).await, ["main/low/t-1/1/end"], "it is low still");
    deliver_all(&**ledger).await;
    ledger.credit(&scope(), &credit(CreditKind::Grant, "k-1", 30)).await.expect("credits");
    ledger.hold(&scope(), &warned("t-3", 15)).await.expect("holds");
    ledger.settle(&scope(), &settlement("t-3", &[15])).await.expect("settles");
    assert_eq!(keys(&**ledger).await, ["main/low/t-3/1/end"]);
    checked_books(&**ledger).await;
}

/// A credit while a step runs lifts the account: if the same step brings it down, that is told.
pub async fn a_credit_before_the_settlement_counts(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 40).await;
    ledger.hold(&scope(), &warned("t-1", 30)).await.expect("holds");
    assert_eq!(keys(&**ledger).await, ["main/low/t-1/1"]);
    ledger.credit(&scope(), &credit(CreditKind::Grant, "k-1", 30)).await.expect("credits");
    ledger.settle(&scope(), &settlement("t-1", &[30])).await.expect("settles");
    assert_eq!(keys(&**ledger).await, ["main/low/t-1/1", "main/low/t-1/1/end"]);
}

/// A hold says how much a low account has, each time it is asked; only the first leaves a notice.
pub async fn a_hold_says_what_is_low(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 49).await;
    open(&**ledger, "other", 50).await;
    let mut wanted = warned("t-1", 10);
    wanted.legs.push(LegRequest { warn_below: Some(money(50)), ..leg("other", 10, 10) });
    for _ in 0..2 {
        let held = ledger.hold(&scope(), &wanted).await.expect("holds");
        let low: Vec<_> = held.legs.iter().map(|leg| (leg.warn_below, leg.low)).collect();
        assert_eq!(low, [(Some(money(50)), Some(money(49))), (Some(money(50)), None)]);
        let stored = ledger.hold_of(&scope(), &key("t-1")).await.expect("reads");
        assert_eq!(stored, Some(held));
    }
    let second = ledger.hold(&scope(), &warned("t-2", 10)).await.expect("holds");
    assert_eq!(second.legs[0].low, Some(money(49)));
    let expected = Notice {
        amount: money(49),
        limit: money(50),
        ..notice("main", NoticeKind::LowBalance, "main/low/t-1/1", "t-1")
    };
    assert_eq!(notices(&**ledger).await, [expected]);
}

/// An account without a bound is never low; its overruns are told.
pub async fn an_unlimited_account_is_never_low(ledger: &Arc<dyn Ledger>) {
    let spec = spec("main", AccountKind::Unlimited, 0);
    ledger.open_account(&scope(), &spec, at(1_000)).await.expect("opens");
    let held = ledger.hold(&scope(), &warned("t-1", 10)).await.expect("holds");
    assert_eq!(held.legs[0].low, None);
    ledger.settle(&scope(), &settlement("t-1", &[11])).await.expect("settles");
    assert_eq!(keys(&**ledger).await, ["main/overrun/t-1/1"]);
}

/// A hold that is refused by its last account leaves nothing of the first: it is told later.
pub async fn a_refused_hold_tells_nothing_of_its_other_accounts(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 40).await;
    open(&**ledger, "quota", 5).await;
    let mut wanted = warned("t-1", 10);
    wanted.legs.push(leg("quota", 10, 10));
    assert_refused(ledger.hold(&scope(), &wanted).await, BalanceErrorKind::InsufficientFunds);
    assert_eq!(keys(&**ledger).await, ["quota/refused/t-1/1"]);
    assert!(!account(&**ledger, "main").await.state.low_told);
    ledger.hold(&scope(), &warned("t-2", 10)).await.expect("holds");
    assert_eq!(keys(&**ledger).await, ["main/low/t-2/1", "quota/refused/t-1/1"]);
}

/// A hold and a settlement that come again leave their notices once.
pub async fn repeated_calls_leave_one_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 40).await;
    for _ in 0..3 {
        ledger.hold(&scope(), &warned("t-1", 10)).await.expect("holds");
    }
    for _ in 0..3 {
        ledger.settle(&scope(), &settlement("t-1", &[12])).await.expect("settles");
    }
    let expected = ["main/low/t-1/1", "main/overrun/t-1/1"];
    assert_eq!(keys(&**ledger).await, expected);
    deliver_all(&**ledger).await;
    ledger.hold(&scope(), &warned("t-1", 10)).await.expect("holds");
    ledger.settle(&scope(), &settlement("t-1", &[12])).await.expect("settles");
    assert_eq!(notices(&**ledger).await, []);
}

/// What was delivered does not come back; the rest does. Saying it again changes nothing, and no
/// tenant speaks for another.
pub async fn delivered_notices_do_not_come_back(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    for turn in ["t-1", "t-2", "t-3"] {
        let refused = ledger.hold(&scope(), &request(turn, 1)).await;
        assert_refused(refused, BalanceErrorKind::InsufficientFunds);
    }
    let second = "main/refused/t-2/1".to_owned();
    let elsewhere: TenantId = id("umbrella");
    ledger.delivered(&[(elsewhere, second.clone())]).await.expect("forgets nothing");
    ledger.delivered(&[]).await.expect("forgets nothing");
    assert_eq!(notices(&**ledger).await.len(), 3);
    for _ in 0..2 {
        let told = [(scope().tenant, second.clone()), (scope().tenant, "main/none".into())];
        ledger.delivered(&told).await.expect("forgets");
    }
    assert_eq!(keys(&**ledger).await, ["main/refused/t-1/1", "main/refused/t-3/1"]);
}

/// Notices come oldest first, then by tenant and key, no more than asked for.
pub async fn notices_come_oldest_first(ledger: &Arc<dyn Ledger>) {
    let mut expected = Vec::new();
    for user in strangers().into_iter().chain([scope()]) {
        let shared = id("wallet");
        let spec = AccountSpec::new(shared, AccountKind::Limited);
        ledger.open_account(&user, &spec, at(1_000)).await.expect("opens");
        for (n, at_ms) in [(2, 5_000), (1, 5_000), (3, 4_000)] {
            let turn = format!("t-{}-{n}", user.user);
            let legs = vec![leg("wallet", 1, 1)];
            let wanted = HoldRequest { legs, at: at(at_ms), ..request(&turn, 1) };
            let refused = ledger.hold(&user, &wanted).await;
            assert_refused(refused, BalanceErrorKind::InsufficientFunds);
            expected.push((at(at_ms), user.tenant.clone(), format!("wallet/refused/{turn}/1")));
        }
    }
    expected.sort();
    let place = |notice: Notice| (notice.at, notice.scope.tenant, notice.key);
    for limit in [1, 4, ALL] {
        let page = ledger.notices(limit).await.expect("reads");
        let page: Vec<_> = page.into_iter().map(place).collect();
        let count = expected.len().min(usize::try_from(limit).expect("small"));
        assert_eq!(page, expected[..count]);
    }
}

/// A notice that nobody takes is forgotten in the end, so many at a time.
pub async fn old_notices_expire(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    for n in 1..=4 {
        let wanted = HoldRequest { at: at(n * 1_000), ..request(&format!("t-{n}"), 1) };
        let refused = ledger.hold(&scope(), &wanted).await;
        assert_refused(refused, BalanceErrorKind::InsufficientFunds);
    }
    assert_eq!(ledger.expire_notices(at(1_000), ALL).await.expect("forgets"), 0);
    assert_eq!(ledger.expire_notices(at(4_000), 2).await.expect("forgets"), 2);
    assert_eq!(notices(&**ledger).await.len(), 2);
    assert_eq!(ledger.expire_notices(at(4_000), ALL).await.expect("forgets"), 1);
    assert_eq!(keys(&**ledger).await, ["main/refused/t-4/1"]);
}

/// Settled at once, the steps that bring a balance down leave one notice of it.
pub async fn parallel_crossings_leave_one_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    for n in 0..8 {
        ledger.hold(&scope(), &warned(&format!("t-{n}"), 10)).await.expect("holds");
    }
    in_parallel(8, |n| {
        let ledger = Arc::clone(ledger);
        async move {
            let settlement = settlement(&format!("t-{n}"), &[10]);
            ledger.settle(&scope(), &settlement).await.expect("settles");
        }
    })
    .await;
    let told = notices(&**ledger).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].kind, told[0].amount), (NoticeKind::LowBalance, money(40)));
    checked_books(&**ledger).await;
}

/// One hold refused many times at once leaves one notice.
pub async fn parallel_refusals_of_a_hold_leave_one_notice(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    in_parallel(32, |_| {
        let ledger = Arc::clone(ledger);
        async move {
            let refused = ledger.hold(&scope(), &request("t-1", 40)).await;
            assert_refused(refused, BalanceErrorKind::InsufficientFunds);
        }
    })
    .await;
    assert_eq!(keys(&**ledger).await, ["main/refused/t-1/1"]);
}

/// Restoring a ledger brings accounts that were told, and no notices.
pub async fn a_restored_ledger_remembers_what_was_told(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 40).await;
    ledger.hold(&scope(), &warned("t-1", 10)).await.expect("holds");
    let books = books(&**ledger).await;
    let umbrella = Scope::new(id("umbrella"), scope().user);
    let rows = LedgerRows {
        accounts: books
            .accounts
            .into_iter()
            .map(|(_, account)| (umbrella.tenant.clone(), account))
            .collect(),
        holds: books.holds.into_iter().map(|h| Hold { scope: umbrella.clone(), ..h }).collect(),
        entries: books
            .entries
            .into_iter()
            .map(|e| Entry { scope: umbrella.clone(), ..e })
            .collect(),
    };
    deliver_all(&**ledger).await;
    ledger.restore(&rows).await.expect("restores");
    let restored = ledger.hold_of(&umbrella, &key("t-1")).await.expect("reads").expect("is there");
    assert_eq!(restored.legs[0].low, Some(money(40)));
    ledger.hold(&umbrella, &warned("t-2", 10)).await.expect("holds");
    assert_eq!(notices(&**ledger).await, []);
}
