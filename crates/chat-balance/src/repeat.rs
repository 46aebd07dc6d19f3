//! What a key that was used before means: the same result again, or a conflict.
//!
//! `Some` is the answer of a repeated write, which then changes nothing; `None` lets the rule of
//! the same name in `rules` decide.

use chat_types::Scope;

use crate::rules::{accounts_of, accounts_of_hold, is_visible, refuse};
use crate::{Account, BalanceErrorKind, Credit, Entry, Hold, HoldRequest, HoldState, Result};

/// The answer if the account is there already.
///
/// # Errors
/// `Conflict` if it is another user's.
pub fn repeat_open(scope: &Scope, existing: &Account) -> Result<Account> {
    if !is_visible(existing, scope) {
        return Err(refuse(BalanceErrorKind::Conflict, "open account", "it is another user's"));
    }
    Ok(existing.clone())
}

/// The answer if an entry of this kind and reference is there already.
///
/// # Errors
/// `Conflict` if it was for another amount.
pub fn repeat_credit(existing: &Entry, credit: &Credit) -> Result<Entry> {
    if existing.amount != credit.amount {
        let detail = "the key was used with another amount";
        return Err(refuse(BalanceErrorKind::Conflict, "credit", detail));
    }
    Ok(existing.clone())
}

/// The answer if the step has a hold already, in whatever state it is now; amounts are not compared.
///
/// # Errors
/// `Conflict` if it is another user's or over other accounts.
pub fn repeat_hold(scope: &Scope, existing: &Hold, request: &HoldRequest) -> Result<Hold> {
    if existing.scope != *scope || accounts_of_hold(existing) != accounts_of(request) {
        let detail = "the key was used for another hold";
        return Err(refuse(BalanceErrorKind::Conflict, "hold", detail));
    }
    Ok(existing.clone())
}

/// The answer if the hold was settled already.
///
/// # Errors
/// `Conflict` if it was released.
pub fn repeat_settle(existing: &Hold) -> Result<Option<Hold>> {
    match existing.state {
        HoldState::Open => Ok(None),
        HoldState::Posted => Ok(Some(existing.clone())),
        HoldState::Released => {
            Err(refuse(BalanceErrorKind::Conflict, "settle", "the hold was released"))
        }
    }
}

/// The answer if the hold was released already.
///
/// # Errors
/// `Conflict` if it was settled.
pub fn repeat_release(existing: &Hold) -> Result<Option<Hold>> {
    match existing.state {
        HoldState::Open => Ok(None),
        HoldState::Released => Ok(Some(existing.clone())),
        HoldState::Posted => {
            Err(refuse(BalanceErrorKind::Conflict, "release", "the hold was settled"))
        }
    }
}

/// Whether a row to be restored is there already: an account, a hold or an entry of the same key.
///
/// # Errors
/// `Conflict` if it differs.
pub fn repeat_restore<Row: PartialEq>(existing: Option<&Row>, arriving: &Row) -> Result<bool> {
    match existing {
        None => Ok(false),
        Some(existing) if existing == arriving => Ok(true),
        Some(_) => {
            let detail = "the ledger has another row of this key";
            Err(refuse(BalanceErrorKind::Conflict, "restore ledger", detail))
        }
    }
}
