//! Accounts and credits: opened once, credited once per key.

use std::sync::Arc;

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountState, BalanceErrorKind, Credit, CreditKind, Entry,
    EntryKind, Side,
};
use chat_types::Money;

use super::books::{
    account, assert_refused, available, checked_books, credit, entries, money, open, spec, wallet,
};
use crate::Ledger;
use crate::fixtures::{at, id, scope, scope_of};

/// An account opens with its grant, and the grant is an entry.
pub async fn opening_writes_the_account_and_its_grant(ledger: &Arc<dyn Ledger>) {
    let spec = spec("main", AccountKind::Limited, 500);
    let opened = ledger.open_account(&scope(), &spec, at(1_000)).await.expect("opens");
    let state = AccountState { as_of: at(1_000), ..AccountState::default() };
    let expected = Account { granted: money(500), state, ..Account::opened(&spec) };
    assert_eq!(opened, expected);
    assert_eq!(account(&**ledger, "main").await, expected);
    let grant = Entry {
        scope: scope(),
        debit: Side::Source,
        credit: wallet("main"),
        amount: money(500),
        kind: EntryKind::Grant,
        reference: "main/opening".into(),
        at: at(1_000),
    };
    assert_eq!(checked_books(&**ledger).await.entries, [grant]);
}

/// An opening of zero grants nothing.
pub async fn opening_with_nothing_has_no_entry(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    assert_eq!(available(&**ledger, "main").await, 0);
    assert_eq!(checked_books(&**ledger).await.entries, []);
}

/// Opening again gives what is there, whatever it asks for.
pub async fn opening_again_changes_nothing(ledger: &Arc<dyn Ledger>) {
    let first = open(&**ledger, "main", 500).await;
    let other = spec("main", AccountKind::Unlimited, 900);
    let again = ledger.open_account(&scope(), &other, at(2_000)).await.expect("answers");
    assert_eq!(again, first);
    assert_eq!(checked_books(&**ledger).await.entries.len(), 1);
}

/// An id that another user has is taken, and nobody opens for somebody else.
pub async fn opening_a_taken_id_is_a_conflict(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 500).await;
    let before = checked_books(&**ledger).await;
    let bob = scope_of("acme", "bob");
    let for_bob =
        AccountSpec { owner: Some(bob.user.clone()), ..spec("main", AccountKind::Limited, 100) };
    let opened = ledger.open_account(&bob, &for_bob, at(2_000)).await;
    assert_refused(opened, BalanceErrorKind::Conflict);
    let for_ada = spec("other", AccountKind::Limited, 100);
    let opened = ledger.open_account(&bob, &for_ada, at(2_000)).await;
    assert_refused(opened, BalanceErrorKind::Conflict);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// A negative opening is refused; no account is there then.
pub async fn negative_opening_is_refused(ledger: &Arc<dyn Ledger>) {
    let spec = spec("main", AccountKind::Limited, -1);
    let opened = ledger.open_account(&scope(), &spec, at(1_000)).await;
    assert_refused(opened, BalanceErrorKind::InvalidAmount);
    assert_eq!(ledger.account(&scope(), &id("main")).await.expect("reads"), None);
}

/// An account without an owner is found by every user of its tenant, and by no other tenant.
pub async fn shared_accounts_are_found_in_their_tenant(ledger: &Arc<dyn Ledger>) {
    let shared = AccountSpec { owner: None, ..spec("main", AccountKind::Limited, 500) };
    let opened = ledger.open_account(&scope(), &shared, at(1_000)).await.expect("opens");
    let bob = scope_of("acme", "bob");
    assert_eq!(ledger.account(&bob, &id("main")).await.expect("reads"), Some(opened));
    let umbrella = scope_of("umbrella", "ada");
    assert_eq!(ledger.account(&umbrella, &id("main")).await.expect("reads"), None);
}

/// Grants, refunds and adjustments add up, each with its entry.
pub async fn credits_add_up(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    for (credit_kind, amount) in
        [(CreditKind::Grant, 700), (CreditKind::Refund, 50), (CreditKind::Adjustment, 800)]
    {
        let wanted = credit(credit_kind, "same key", amount);
        let (debit, side, kind) = match credit_kind {
            CreditKind::Grant => (Side::Source, wallet("main"), EntryKind::Grant),
            CreditKind::Refund => (Side::Revenue, wallet("main"), EntryKind::Refund),
            CreditKind::Adjustment => (wallet("main"), Side::Revenue, EntryKind::Adjustment),
        };
        let expected = Entry {
            scope: scope(),
            debit,
            credit: side,
            amount: money(amount),
            kind,
            reference: "main/same key".into(),
            at: at(1_500),
        };
        assert_eq!(ledger.credit(&scope(), &wanted).await.expect("credits"), expected);
    }
    let stored = account(&**ledger, "main").await;
    assert_eq!((stored.granted, stored.refunded), (money(700), money(50)));
    assert_eq!((stored.posted, available(&**ledger, "main").await), (money(800), -50));
    assert_eq!(checked_books(&**ledger).await.entries.len(), 3);
}

/// The same credit again is one credit and gives its first entry.
pub async fn credit_again_is_one_credit(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 0).await;
    let first = ledger.credit(&scope(), &credit(CreditKind::Grant, "k", 5)).await;
    let later = Credit { at: at(9_000), ..credit(CreditKind::Grant, "k", 5) };
    let second = ledger.credit(&scope(), &later).await;
    assert_eq!(second.expect("answers"), first.expect("credits"));
    assert_eq!(available(&**ledger, "main").await, 5);
    assert_eq!(entries(&**ledger).await.len(), 1);
}

/// The same key for another amount is a conflict; the opening's key as well.
pub async fn credit_key_with_another_amount_is_a_conflict(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    ledger.credit(&scope(), &credit(CreditKind::Grant, "k", 5)).await.expect("credits");
    let before = checked_books(&**ledger).await;
    for (key, amount) in [("k", 6), ("opening", 6)] {
        let credited = ledger.credit(&scope(), &credit(CreditKind::Grant, key, amount)).await;
        assert_refused(credited, BalanceErrorKind::Conflict);
    }
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Nothing, less than nothing and more than fits are no credits; an unknown account gets none.
pub async fn bad_credits_are_refused(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 1).await;
    let before = checked_books(&**ledger).await;
    for amount in [0, -1, Money::MAX.nano_usd()] {
        let credited = ledger.credit(&scope(), &credit(CreditKind::Grant, "k", amount)).await;
        assert_refused(credited, BalanceErrorKind::InvalidAmount);
    }
    let unknown = Credit { account: id("nothing"), ..credit(CreditKind::Grant, "k", 5) };
    assert_refused(ledger.credit(&scope(), &unknown).await, BalanceErrorKind::NotFound);
    assert_eq!(checked_books(&**ledger).await, before);
}
