//! Another user, and another tenant, finds no account and no hold.

use std::sync::Arc;

use chat_balance::{AccountKind, AccountSpec, BalanceErrorKind, CreditKind};
use chat_types::Scope;

use super::books::{
    assert_refused, checked_books, credit, extension, hold, key, open, request, settlement, spec,
    strangers,
};
use crate::Ledger;
use crate::fixtures::{at, id, scope_of};

const NOT_FOUND: BalanceErrorKind = BalanceErrorKind::NotFound;

/// Runs `attempt` as each stranger against `ada`'s account and hold; nothing may change.
async fn check_strangers(ledger: &Arc<dyn Ledger>, attempt: impl AsyncFn(&dyn Ledger, &Scope)) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let before = checked_books(&**ledger).await;
    for stranger in strangers() {
        attempt(&**ledger, &stranger).await;
        assert_eq!(checked_books(&**ledger).await, before, "{stranger:?} changed something");
    }
}

/// A stranger reads nothing.
pub async fn strangers_read_nothing(ledger: &Arc<dyn Ledger>) {
    check_strangers(ledger, async |ledger, stranger| {
        assert_eq!(ledger.account(stranger, &id("main")).await.expect("reads"), None);
        assert_eq!(ledger.hold_of(stranger, &key("t-1")).await.expect("reads"), None);
    })
    .await;
}

/// A stranger credits and spends nothing.
pub async fn strangers_spend_nothing(ledger: &Arc<dyn Ledger>) {
    check_strangers(ledger, async |ledger, stranger| {
        let grant = credit(CreditKind::Grant, "mine", 5);
        assert_refused(ledger.credit(stranger, &grant).await, NOT_FOUND);
        assert_refused(ledger.hold(stranger, &request("t-2", 5)).await, NOT_FOUND);
    })
    .await;
}

/// A stranger moves no hold.
pub async fn strangers_move_no_hold(ledger: &Arc<dyn Ledger>) {
    check_strangers(ledger, async |ledger, stranger| {
        let extended = ledger.extend(stranger, &key("t-1"), &extension(2, 5)).await;
        assert_refused(extended, NOT_FOUND);
        assert_refused(ledger.settle(stranger, &settlement("t-1", &[5])).await, NOT_FOUND);
        assert_refused(ledger.release(stranger, &key("t-1"), at(3_000)).await, NOT_FOUND);
    })
    .await;
}

/// On a shared account, one user's hold is not another's.
pub async fn holds_on_shared_accounts_are_their_users(ledger: &Arc<dyn Ledger>) {
    let shared = AccountSpec { owner: None, ..spec("main", AccountKind::Limited, 100) };
    let (ada, bob) = (scope_of("acme", "ada"), scope_of("acme", "bob"));
    ledger.open_account(&ada, &shared, at(1_000)).await.expect("opens");
    ledger.hold(&ada, &request("t-1", 60)).await.expect("holds");
    let before = checked_books(&**ledger).await;
    assert_eq!(ledger.hold_of(&bob, &key("t-1")).await.expect("reads"), None);
    assert_refused(ledger.release(&bob, &key("t-1"), at(3_000)).await, NOT_FOUND);
    assert_refused(ledger.hold(&bob, &request("t-1", 60)).await, BalanceErrorKind::Conflict);
    let short = ledger.hold(&bob, &request("t-2", 41)).await;
    assert_refused(short, BalanceErrorKind::InsufficientFunds);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Two tenants may use the same account and hold names; each has its own.
pub async fn equal_names_of_two_tenants_are_two_things(ledger: &Arc<dyn Ledger>) {
    for (tenant, opening) in [("acme", 100), ("umbrella", 50)] {
        let scope = scope_of(tenant, "ada");
        let spec = spec("main", AccountKind::Limited, opening);
        ledger.open_account(&scope, &spec, at(1_000)).await.expect("opens");
        ledger.hold(&scope, &request("t-1", 40)).await.expect("holds");
    }
    let umbrella = scope_of("umbrella", "ada");
    ledger.settle(&umbrella, &settlement("t-1", &[40])).await.expect("settles");
    let books = checked_books(&**ledger).await;
    let left = books.accounts.iter().map(|(tenant, account)| {
        (tenant.as_str(), account.held.nano_usd(), account.posted.nano_usd())
    });
    assert_eq!(left.collect::<Vec<_>>(), [("acme", 40, 0), ("umbrella", 0, 40)]);
}
