//! Rows of another ledger, restored as they were.

use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountSpec, BalanceErrorKind, CreditKind, Entry, EntryKind, Hold, LedgerRows,
    MemoryLedger,
};
use chat_types::{StepKey, Timestamp};

use super::books::{
    ALL, assert_refused, available, books, checked_books, credit, hold, key, leg, money, open,
    request, settlement, spec,
};
use crate::Ledger;
use crate::fixtures::{at, id, in_parallel, scope, scope_of};

/// A ledger with everything in it: grants, a refund, holds in every state, an overrun, a shared
/// and an unlimited account, two tenants.
async fn elsewhere() -> LedgerRows {
    let source: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let source = &*source;
    open(source, "main", 1_000).await;
    source.credit(&scope(), &credit(CreditKind::Grant, "more", 50)).await.expect("credits");
    source.credit(&scope(), &credit(CreditKind::Refund, "back", 5)).await.expect("credits");
    let shared = AccountSpec { owner: None, ..spec("shared", AccountKind::Unlimited, 0) };
    source.open_account(&scope(), &shared, at(1_000)).await.expect("opens");
    hold(source, "t-open", 100).await;
    hold(source, "t-settled", 100).await;
    source.settle(&scope(), &settlement("t-settled", &[40, 0])).await.expect("settles");
    hold(source, "t-over", 10).await;
    source.settle(&scope(), &settlement("t-over", &[25])).await.expect("settles");
    hold(source, "t-released", 100).await;
    source.release(&scope(), &key("t-released"), at(3_000)).await.expect("releases");
    let both = chat_balance::HoldRequest {
        key: StepKey { step: 2, ..key("t-open") },
        legs: vec![leg("main", 10, 10), leg("shared", 10, 10)],
        at: at(2_000),
    };
    source.hold(&scope(), &both).await.expect("holds");
    let umbrella = scope_of("umbrella", "bob");
    let theirs =
        AccountSpec { owner: Some(umbrella.user.clone()), ..spec("main", AccountKind::Limited, 7) };
    source.open_account(&umbrella, &theirs, at(1_000)).await.expect("opens");
    rows(source).await
}

/// All rows of a ledger.
async fn rows(ledger: &dyn Ledger) -> LedgerRows {
    let books = books(ledger).await;
    LedgerRows { accounts: books.accounts, holds: books.holds, entries: books.entries }
}

async fn assert_conflict(ledger: &Arc<dyn Ledger>, arriving: &LedgerRows) {
    let before = rows(&**ledger).await;
    assert_refused(ledger.restore(arriving).await, BalanceErrorKind::Conflict);
    assert_eq!(rows(&**ledger).await, before, "nothing was written");
}

/// Restored rows read as they were, entries in their order, and the books are sound.
pub async fn restored_rows_round_trip(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    ledger.restore(&source).await.expect("restores");
    assert_eq!(rows(&**ledger).await, source);
    checked_books(&**ledger).await;
    assert_eq!(
        ledger.hold_of(&scope(), &key("t-over")).await.expect("reads").map(|h| h.state),
        Some(chat_balance::HoldState::Posted)
    );
}

/// Nothing restores nothing.
pub async fn no_rows_restore_nothing(ledger: &Arc<dyn Ledger>) {
    ledger.restore(&LedgerRows::default()).await.expect("restores");
    assert_eq!(rows(&**ledger).await, LedgerRows::default());
}

/// Restoring again changes nothing, also twice in one call.
pub async fn restoring_again_changes_nothing(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    let mut twice = source.clone();
    twice.accounts.extend(source.accounts.clone());
    twice.holds.extend(source.holds.clone());
    twice.entries.extend(source.entries.clone());
    for _ in 0..2 {
        ledger.restore(&twice).await.expect("restores");
        assert_eq!(rows(&**ledger).await, source);
    }
}

/// A ledger may come in pieces, in any cut; what came before is skipped.
pub async fn a_ledger_comes_in_pieces(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    for account in &source.accounts {
        let piece = LedgerRows { accounts: vec![account.clone()], ..LedgerRows::default() };
        ledger.restore(&piece).await.expect("restores");
    }
    for holds in source.holds.chunks(2) {
        let piece = LedgerRows { holds: holds.to_vec(), ..LedgerRows::default() };
        ledger.restore(&piece).await.expect("restores");
    }
    for entries in source.entries.chunks(3) {
        let piece = LedgerRows { entries: entries.to_vec(), ..LedgerRows::default() };
        ledger.restore(&piece).await.expect("restores");
    }
    ledger.restore(&source).await.expect("restores");
    assert_eq!(rows(&**ledger).await, source);
    checked_books(&**ledger).await;
}

/// Another account of the same name is a conflict, and nothing of the call is written.
pub async fn another_account_of_one_name_is_a_conflict(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    open(&**ledger, "main", 999).await;
    assert_conflict(ledger, &source).await;
    let mut both = LedgerRows { accounts: source.accounts[..1].to_vec(), ..LedgerRows::default() };
    let (tenant, mut account) = both.accounts[0].clone();
    account.id = id("other");
    both.accounts = vec![(tenant.clone(), account.clone())];
    account.granted = money(1);
    both.accounts.push((tenant, account));
    assert_conflict(ledger, &both).await;
}

/// Another hold or entry of the same key is a conflict, and nothing of the call is written.
pub async fn another_row_of_one_key_is_a_conflict(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    ledger.restore(&source).await.expect("restores");
    let new_entry = Entry { reference: "main/new".into(), ..source.entries[0].clone() };
    let moved = Hold { closed_at: Some(Timestamp::from_unix_ms(1)), ..source.holds[0].clone() };
    let piece = LedgerRows {
        holds: vec![moved],
        entries: vec![new_entry.clone()],
        ..LedgerRows::default()
    };
    assert_conflict(ledger, &piece).await;
    let other = Entry { amount: money(1), ..source.entries[0].clone() };
    let piece = LedgerRows { entries: vec![new_entry, other], ..LedgerRows::default() };
    assert_conflict(ledger, &piece).await;
}

/// Equal keys of two tenants are two rows; an entry's kind is part of its key.
pub async fn restored_keys_are_apart_by_tenant_and_kind(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    let mut all = source.entries[..1].to_vec();
    let first = source.entries[0].clone();
    all.push(Entry { scope: scope_of("umbrella", "ada"), amount: money(2), ..first.clone() });
    all.push(Entry { kind: EntryKind::Refund, amount: money(3), ..first });
    let piece = LedgerRows { entries: all.clone(), ..LedgerRows::default() };
    ledger.restore(&piece).await.expect("restores");
    ledger.restore(&piece).await.expect("restores");
    assert_eq!(ledger.scan_entries(0, ALL).await.expect("scans"), all);
}

/// A restored ledger goes on: open holds settle, new ones are taken, credits keep their keys.
pub async fn a_restored_ledger_goes_on(ledger: &Arc<dyn Ledger>) {
    ledger.restore(&elsewhere().await).await.expect("restores");
    let before = available(&**ledger, "main").await;
    ledger.settle(&scope(), &settlement("t-open", &[30])).await.expect("settles");
    assert_eq!(available(&**ledger, "main").await, before + 100 - 30);
    hold(&**ledger, "t-new", 20).await;
    ledger.settle(&scope(), &settlement("t-new", &[20])).await.expect("settles");
    let again = ledger.credit(&scope(), &credit(CreditKind::Grant, "more", 50)).await;
    assert_eq!(again.expect("is the first").at, at(1_500));
    let another = ledger.credit(&scope(), &credit(CreditKind::Grant, "more", 51)).await;
    assert_refused(another, BalanceErrorKind::Conflict);
    assert_eq!(available(&**ledger, "main").await, before + 100 - 30 - 20);
    checked_books(&**ledger).await;
}

/// A settled hold is settled there too: settling again posts nothing.
pub async fn a_restored_hold_is_resolved_once(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    ledger.restore(&source).await.expect("restores");
    ledger.settle(&scope(), &settlement("t-settled", &[99])).await.expect("is the first");
    let released = ledger.settle(&scope(), &settlement("t-released", &[1])).await;
    assert_refused(released, BalanceErrorKind::Conflict);
    let again = ledger.hold(&scope(), &request("t-over", 10)).await.expect("is the first");
    assert_eq!(again.state, chat_balance::HoldState::Posted);
    assert_eq!(rows(&**ledger).await, source);
}

/// Rows are restored beside those that are there, and entries behind them.
pub async fn restored_entries_come_behind(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "mine", 10).await;
    let before = books(&**ledger).await.entries;
    let source = elsewhere().await;
    ledger.restore(&source).await.expect("restores");
    let after = books(&**ledger).await.entries;
    assert_eq!(after, [before, source.entries].concat());
    checked_books(&**ledger).await;
}

/// The same rows restored 8 times at once are there once.
pub async fn parallel_restores_are_one(ledger: &Arc<dyn Ledger>) {
    let source = elsewhere().await;
    in_parallel(8, |_| {
        let (ledger, source) = (Arc::clone(ledger), source.clone());
        async move { ledger.restore(&source).await.expect("restores") }
    })
    .await;
    assert_eq!(rows(&**ledger).await, source);
}
