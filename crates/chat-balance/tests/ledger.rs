//! What the ledger promises, through `MemoryLedger`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceError, BalanceErrorKind,
    Credit, CreditKind, EntryKind, Extension, Hold, HoldLeg, HoldRequest, HoldState,
    LedgerMaintenance, LegRequest, MemoryLedger, PRIORITY, Posting, Refusal, Settlement,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId, UserId};

const NOW: Timestamp = Timestamp::from_unix_ms(1_000);

fn scope(user: &str) -> Scope {
    Scope::new(TenantId::new("t").unwrap(), UserId::new(user).unwrap())
}

fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

fn key(turn: &str) -> StepKey {
    StepKey { turn: TurnId::new(turn).unwrap(), step: 1 }
}

fn request(turn: &str, legs: &[(&str, i64, i64)]) -> HoldRequest {
    let leg = |(account, amount, floor): &(&str, i64, i64)| LegRequest {
        account: id(account),
        amount: nano(*amount),
        floor: nano(*floor),
        refill: None,
        warn_below: None,
    };
    HoldRequest { key: key(turn), legs: legs.iter().map(leg).collect(), at: NOW }
}

fn extension(attempt: u32, amount: i64) -> Extension {
    Extension { attempt, amount: nano(amount), tokens: Tokens::ZERO, at: NOW }
}

fn settlement(turn: &str, postings: &[(u32, i64)]) -> Settlement {
    let posting = |(attempt, amount): &(u32, i64)| Posting {
        attempt: *attempt,
        amount: nano(*amount),
        tokens: Tokens::ZERO,
    };
    Settlement { key: key(turn), postings: postings.iter().map(posting).collect(), at: NOW }
}

async fn open(ledger: &MemoryLedger, name: &str, kind: AccountKind, opening: i64) -> Account {
    let spec = AccountSpec {
        id: id(name),
        owner: Some(scope("u").user),
        kind,
        opening: nano(opening),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    ledger.open_account(&scope("u"), &spec, NOW).await.unwrap()
}

async fn ledger_with(accounts: &[(&str, i64)]) -> MemoryLedger {
    let ledger = MemoryLedger::new();
    for (name, opening) in accounts {
        open(&ledger, name, AccountKind::Limited, *opening).await;
    }
    ledger
}

async fn read(ledger: &MemoryLedger, name: &str) -> Account {
    ledger.account(&scope("u"), &id(name)).await.unwrap().unwrap()
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, BalanceError>) -> BalanceErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn opening_twice_grants_once() {
    let ledger = MemoryLedger::new();
    let first = open(&ledger, "a", AccountKind::Limited, 10).await;
    let second = open(&ledger, "a", AccountKind::Unlimited, 99).await;
    assert_eq!(first, second);
    let entries = ledger.scan_entries(0, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].kind, entries[0].reference.as_str()), (EntryKind::Grant, "a/opening"));
}

#[tokio::test]
async fn an_owned_account_is_found_by_its_owner_only() {
    let ledger = ledger_with(&[("a", 10)]).await;
    let other = scope("other");
    assert_eq!(ledger.account(&other, &id("a")).await.unwrap(), None);
    let spec = AccountSpec {
        id: id("a"),
        owner: None,
        kind: AccountKind::Limited,
        opening: nano(0),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    assert_eq!(kind_of(ledger.open_account(&other, &spec, NOW).await), BalanceErrorKind::Conflict);
    let hold = ledger.hold(&other, &request("t", &[("a", 1, 1)])).await;
    assert_eq!(kind_of(hold), BalanceErrorKind::NotFound);
    let credit = Credit {
        account: id("a"),
        kind: CreditKind::Grant,
        key: "k".into(),
        amount: nano(1),
        at: NOW,
        priority: PRIORITY,
        expires_at: None,
    };
    assert_eq!(kind_of(ledger.credit(&other, &credit).await), BalanceErrorKind::NotFound);
}

#[tokio::test]
async fn a_credit_key_counts_once_and_keeps_its_amount() {
    let ledger = ledger_with(&[("a", 10)]).await;
    let mut credit = Credit {
        account: id("a"),
        kind: CreditKind::Refund,
        key: "k".into(),
        amount: nano(5),
        at: NOW,
        priority: PRIORITY,
        expires_at: None,
    };
    let first = ledger.credit(&scope("u"), &credit).await.unwrap();
    credit.at = NOW.plus_ms(1);
    assert_eq!(ledger.credit(&scope("u"), &credit).await.unwrap(), first);
    credit.amount = nano(6);
    let other = ledger.credit(&scope("u"), &credit).await;
    assert_eq!(kind_of(other), BalanceErrorKind::Conflict);
    credit.amount = nano(0);
    credit.key = "z".into();
    let zero = ledger.credit(&scope("u"), &credit).await;
    assert_eq!(kind_of(zero), BalanceErrorKind::InvalidAmount);
    assert_eq!(read(&ledger, "a").await.refunded, nano(5));
}

#[tokio::test]
async fn a_hold_gives_between_floor_and_amount_and_names_who_is_short() {
    let ledger = ledger_with(&[("a", 10), ("b", 100)]).await;
    let hold = ledger.hold(&scope("u"), &request("t", &[("b", 50, 1), ("a", 50, 1)])).await;
    let hold = hold.unwrap();
    assert_eq!(hold.covered(AccountUnit::Usd), Some(nano(10)));
    let refused = ledger.hold(&scope("u"), &request("t2", &[("b", 50, 40), ("a", 50, 1)])).await;
    let expected = Refusal {
        unit: AccountUnit::Usd,
        account: id("a"),
        need: nano(1),
        available: nano(0),
        held: nano(10),
        refill_at: None,
    };
    assert_eq!(refused.unwrap_err().refusal(), Some(&expected));
    assert_eq!(read(&ledger, "b").await.held, nano(50), "all or none");
}

#[tokio::test]
async fn a_hold_key_is_one_hold() {
    let ledger = ledger_with(&[("a", 10), ("b", 10)]).await;
    let first = ledger.hold(&scope("u"), &request("t", &[("a", 5, 5)])).await.unwrap();
    let again = ledger.hold(&scope("u"), &request("t", &[("a", 9, 9)])).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(read(&ledger, "a").await.held, nano(5));
    let elsewhere = ledger.hold(&scope("u"), &request("t", &[("b", 5, 5)])).await;
    assert_eq!(kind_of(elsewhere), BalanceErrorKind::Conflict);
}

#[tokio::test]
async fn senseless_holds_are_refused() {
    let ledger = ledger_with(&[("a", 10)]).await;
    let many: Vec<String> = (0..17).map(|n| format!("a{n}")).collect();
    let many: Vec<(&str, i64, i64)> = many.iter().map(|name| (name.as_str(), 1, 1)).collect();
    for legs in [&[][..], &[("a", 1, 1), ("a", 1, 1)], &[("a", 1, 2)], &[("a", 1, -1)], &many] {
        let refused = ledger.hold(&scope("u"), &request("t", legs)).await;
        assert_eq!(kind_of(refused), BalanceErrorKind::InvalidAmount, "{legs:?}");
    }
    let unknown = ledger.hold(&scope("u"), &request("t", &[("zz", 1, 1)])).await;
    assert_eq!(kind_of(unknown), BalanceErrorKind::NotFound);
}

#[tokio::test]
async fn an_unlimited_account_holds_and_posts_all_the_same() {
    let ledger = MemoryLedger::new();
    open(&ledger, "a", AccountKind::Unlimited, 0).await;
    let hold = ledger.hold(&scope("u"), &request("t", &[("a", 50, 50)])).await.unwrap();
    assert_eq!(hold.covered(AccountUnit::Usd), Some(nano(50)));
    ledger.settle(&scope("u"), &settlement("t", &[(1, 20)])).await.unwrap();
    let account = read(&ledger, "a").await;
    assert_eq!((account.held, account.posted), (nano(0), nano(20)));
    assert_eq!(account.available().unwrap(), nano(-20));
}

#[tokio::test]
async fn an_extension_counts_once_per_attempt() {
    let ledger = ledger_with(&[("a", 10)]).await;
    ledger.hold(&scope("u"), &request("t", &[("a", 4, 4)])).await.unwrap();
    let extend = |attempt, extra| {
        let ledger = ledger.clone();
        async move { ledger.extend(&scope("u"), &key("t"), &extension(attempt, extra)).await }
    };
    assert_eq!(extend(2, 3).await.unwrap().covered(AccountUnit::Usd), Some(nano(7)));
    assert_eq!(extend(2, 3).await.unwrap().covered(AccountUnit::Usd), Some(nano(7)));
    assert_eq!(extend(1, 3).await.unwrap().covered(AccountUnit::Usd), Some(nano(7)));
    assert_eq!(kind_of(extend(3, 4).await), BalanceErrorKind::InsufficientFunds);
    assert_eq!(read(&ledger, "a").await.held, nano(7));
    ledger.release(&scope("u"), &key("t"), NOW).await.unwrap();
    assert_eq!(kind_of(extend(3, 1).await), BalanceErrorKind::Conflict);
    assert_eq!(read(&ledger, "a").await.available().unwrap(), nano(10));
}

#[tokio::test]
async fn an_excess_over_several_attempts_is_one_named_overrun_per_leg() {
    let ledger = ledger_with(&[("a", 100), ("b", 100)]).await;
    let legs = [("a", 10, 10), ("b", 20, 20)];
    ledger.hold(&scope("u"), &request("t", &legs)).await.unwrap();
    let hold = ledger.settle(&scope("u"), &settlement("t", &[(1, 8), (2, 9), (4, 0)])).await;
    let leg = |account, amount| HoldLeg {
        account: id(account),
        amount: nano(amount),
        posted: nano(17),
        unit: AccountUnit::Usd,
        lots: Vec::new(),
        warn_below: None,
        low: None,
    };
    let expected = Hold {
        scope: scope("u"),
        key: key("t"),
        state: HoldState::Posted,
        legs: vec![leg("a", 10), leg("b", 20)],
        extended_to: 1,
        opened_at: NOW,
        closed_at: Some(NOW),
    };
    assert_eq!(hold.unwrap(), expected);
    let entries = ledger.scan_entries(2, 100).await.unwrap();
    let rows: Vec<(EntryKind, &str, i64)> = entries
        .iter()
        .map(|entry| (entry.kind, entry.reference.as_str(), entry.amount.nano_usd()))
        .collect();
    assert_eq!(
        rows,
        [
            (EntryKind::Usage, "a/t/1/1", 8),
            (EntryKind::Usage, "a/t/1/2", 2),
            (EntryKind::Usage, "a/t/1/4", 0),
            (EntryKind::Overrun, "a/t/1", 7),
            (EntryKind::Usage, "b/t/1/1", 8),
            (EntryKind::Usage, "b/t/1/2", 9),
            (EntryKind::Usage, "b/t/1/4", 0),
        ]
    );
}

#[tokio::test]
async fn a_hold_is_resolved_once() {
    let ledger = ledger_with(&[("a", 100)]).await;
    let u = scope("u");
    ledger.hold(&u, &request("t", &[("a", 10, 10)])).await.unwrap();
    let first = ledger.settle(&u, &settlement("t", &[(1, 8)])).await.unwrap();
    assert_eq!(ledger.settle(&u, &settlement("t", &[(1, 9), (2, 9)])).await.unwrap(), first);
    let late = ledger.release(&u, &key("t"), NOW).await;
    assert_eq!(kind_of(late), BalanceErrorKind::Conflict);

    ledger.hold(&u, &request("t2", &[("a", 10, 10)])).await.unwrap();
    let first = ledger.release(&u, &key("t2"), NOW).await.unwrap();
    assert_eq!(ledger.release(&u, &key("t2"), NOW.plus_ms(9)).await.unwrap(), first);
    let late = ledger.settle(&u, &settlement("t2", &[(1, 1)])).await;
    assert_eq!(kind_of(late), BalanceErrorKind::Conflict);

    let account = read(&ledger, "a").await;
    assert_eq!((account.held, account.posted), (nano(0), nano(8)));
    let unknown = ledger.settle(&u, &settlement("t3", &[(1, 1)])).await;
    assert_eq!(kind_of(unknown), BalanceErrorKind::NotFound);
}

#[tokio::test]
async fn a_hold_is_found_by_its_own_user_and_tenant_only() {
    let ledger = MemoryLedger::new();
    let spec = AccountSpec {
        id: id("shared"),
        owner: None,
        kind: AccountKind::Limited,
        opening: nano(9),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    ledger.open_account(&scope("u"), &spec, NOW).await.unwrap();
    let first = ledger.hold(&scope("u"), &request("t", &[("shared", 5, 5)])).await.unwrap();

    let same_key = ledger.hold(&scope("v"), &request("t", &[("shared", 5, 5)])).await;
    assert_eq!(kind_of(same_key), BalanceErrorKind::Conflict);
    let elsewhere = Scope::new(TenantId::new("t2").unwrap(), scope("u").user);
    let no_account = ledger.hold(&elsewhere, &request("t", &[("shared", 5, 5)])).await;
    assert_eq!(kind_of(no_account), BalanceErrorKind::NotFound);
    for other in [scope("v"), elsewhere] {
        assert_eq!(ledger.hold_of(&other, &key("t")).await.unwrap(), None);
        let not_found = BalanceErrorKind::NotFound;
        assert_eq!(kind_of(ledger.release(&other, &key("t"), NOW).await), not_found);
        assert_eq!(kind_of(ledger.extend(&other, &key("t"), &extension(2, 1)).await), not_found);
        assert_eq!(kind_of(ledger.settle(&other, &settlement("t", &[(1, 1)])).await), not_found);
    }
    assert_eq!(ledger.hold_of(&scope("u"), &key("t")).await.unwrap(), Some(first));
}

#[tokio::test]
async fn senseless_settlements_change_nothing() {
    let ledger = ledger_with(&[("a", 100)]).await;
    ledger.hold(&scope("u"), &request("t", &[("a", 10, 10)])).await.unwrap();
    let before = read(&ledger, "a").await;
    for postings in [
        &[][..],
        &[(1, -1)],
        &[(0, 1)],
        &[(2, 1), (1, 1)],
        &[(1, 1), (1, 1)],
        &[(1, i64::MAX), (2, i64::MAX)],
    ] {
        let refused = ledger.settle(&scope("u"), &settlement("t", postings)).await;
        assert_eq!(kind_of(refused), BalanceErrorKind::InvalidAmount, "{postings:?}");
    }
    assert_eq!(read(&ledger, "a").await, before);
}

#[tokio::test]
async fn the_turn_after_an_overrun_is_refused_unless_it_is_free() {
    let ledger = ledger_with(&[("a", 10)]).await;
    ledger.hold(&scope("u"), &request("t", &[("a", 10, 10)])).await.unwrap();
    ledger.settle(&scope("u"), &settlement("t", &[(1, 15)])).await.unwrap();
    let next = ledger.hold(&scope("u"), &request("t2", &[("a", 5, 1)])).await;
    assert_eq!(kind_of(next), BalanceErrorKind::InsufficientFunds);
    let free = ledger.hold(&scope("u"), &request("t3", &[("a", 0, 0)])).await.unwrap();
    assert_eq!(free.covered(AccountUnit::Usd), Some(nano(0)));
}

#[tokio::test]
async fn amounts_that_do_not_fit_are_refused_unchanged() {
    let ledger = MemoryLedger::new();
    open(&ledger, "a", AccountKind::Unlimited, i64::MAX).await;
    let credit = Credit {
        account: id("a"),
        kind: CreditKind::Grant,
        key: "k".into(),
        amount: nano(1),
        at: NOW,
        priority: PRIORITY,
        expires_at: None,
    };
    let refused = ledger.credit(&scope("u"), &credit).await;
    assert_eq!(kind_of(refused), BalanceErrorKind::InvalidAmount);
    ledger.hold(&scope("u"), &request("t", &[("a", i64::MAX, 0)])).await.unwrap();
    let refused = ledger.hold(&scope("u"), &request("t2", &[("a", 1, 0)])).await;
    assert_eq!(kind_of(refused), BalanceErrorKind::InvalidAmount);
    assert_eq!(read(&ledger, "a").await.held, nano(i64::MAX));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_holds_never_exceed_the_balance() {
    for round in 0..20 {
        let ledger = Arc::new(ledger_with(&[("a", 10)]).await);
        let holds = (0..64).map(|n| {
            let ledger = ledger.clone();
            std::thread::spawn(move || {
                let request = request(&format!("t{n}"), &[("a", 1, 1)]);
                block_on(ledger.hold(&scope("u"), &request)).is_ok()
            })
        });
        let holds: Vec<_> = holds.collect();
        let admitted =
            holds.into_iter().filter_map(|hold| hold.join().ok()).filter(|ok| *ok).count();
        assert_eq!(admitted, 10, "round {round}");
        assert_eq!(read(&ledger, "a").await.available().unwrap(), nano(0));
    }
}

/// Drives a future of the memory ledger, which never waits, on a plain thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[tokio::test]
async fn maintenance_reads_in_order_and_in_pages() {
    let ledger = ledger_with(&[("b", 10), ("a", 10), ("c", 10)]).await;
    for (turn, at) in [("t1", 30), ("t2", 10), ("t3", 20)] {
        let mut request = request(turn, &[("a", 1, 1)]);
        request.at = Timestamp::from_unix_ms(at);
        ledger.hold(&scope("u"), &request).await.unwrap();
    }
    ledger.release(&scope("u"), &key("t3"), NOW).await.unwrap();
    let open = ledger.open_holds(Timestamp::from_unix_ms(30), 10).await.unwrap();
    assert_eq!(open.iter().map(|hold| &hold.key).collect::<Vec<_>>(), [&key("t2")]);
    let open = ledger.open_holds(NOW, 1).await.unwrap();
    assert_eq!(open.iter().map(|hold| &hold.key).collect::<Vec<_>>(), [&key("t2")]);

    let first = ledger.scan_accounts(None, 2).await.unwrap();
    let last = first.last().map(|(tenant, account)| (tenant.clone(), account.id.clone()));
    let rest = ledger.scan_accounts(last.as_ref(), 2).await.unwrap();
    let ids: Vec<AccountId> =
        first.into_iter().chain(rest).map(|(_, account)| account.id).collect();
    assert_eq!(ids, [id("a"), id("b"), id("c")]);

    let first = ledger.scan_holds(None, 1).await.unwrap();
    let last = first.last().map(|hold| (hold.scope.tenant.clone(), hold.key.clone()));
    let rest = ledger.scan_holds(last.as_ref(), 9).await.unwrap();
    assert_eq!(rest.iter().map(|hold| &hold.key).collect::<Vec<_>>(), [&key("t2"), &key("t3")]);
    assert_eq!(ledger.scan_entries(1, 1).await.unwrap()[0].reference, "a/opening");
}
