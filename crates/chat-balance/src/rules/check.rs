//! What the rules ask of their input before they change anything.

use std::collections::BTreeSet;

use chat_types::{AccountId, Money, Scope};

use super::{LEGS_MAX, is_visible};
use crate::{
    Account, BalanceError, BalanceErrorKind, Hold, HoldRequest, HoldState, Posting, Result,
};

pub(super) fn check_request(request: &HoldRequest) -> Result<()> {
    let invalid = |detail: &str| Err(refuse(BalanceErrorKind::InvalidAmount, "hold", detail));
    if request.legs.is_empty() || request.legs.len() > LEGS_MAX {
        return invalid("a hold has one to sixteen legs");
    }
    let mut seen = BTreeSet::new();
    for leg in &request.legs {
        if !seen.insert(&leg.account) {
            return invalid("an account is named twice");
        }
        if leg.floor.is_negative() || leg.floor > leg.amount {
            return invalid("a floor is negative or above its amount");
        }
    }
    Ok(())
}

pub(super) fn check_postings(postings: &[Posting]) -> Result<()> {
    let invalid = |detail: &str| Err(refuse(BalanceErrorKind::InvalidAmount, "settle", detail));
    if postings.is_empty() {
        return invalid("there is no attempt to post; such a hold is released");
    }
    let mut newest = 0;
    for posting in postings {
        if posting.amount.is_negative() {
            return invalid("an amount is negative");
        }
        if posting.attempt <= newest {
            return invalid("attempts are counted from 1, each once, in order");
        }
        newest = posting.attempt;
    }
    Ok(())
}

pub(super) fn must_be_open(operation: &'static str, hold: &Hold) -> Result<()> {
    match hold.state {
        HoldState::Open => Ok(()),
        HoldState::Posted | HoldState::Released => {
            Err(refuse(BalanceErrorKind::Conflict, operation, "the hold is resolved"))
        }
    }
}

pub(super) fn must_be_there(
    operation: &'static str,
    scope: &Scope,
    accounts: &[Account],
    ids: &[AccountId],
) -> Result<()> {
    let is_there = |id: &&AccountId| {
        accounts.iter().any(|account| account.id == **id && is_visible(account, scope))
    };
    match ids.iter().find(|id| !is_there(id)) {
        Some(missing) => Err(no_account(operation, missing)),
        None => Ok(()),
    }
}

pub(super) fn find<'a>(
    operation: &'static str,
    accounts: &'a [Account],
    id: &AccountId,
) -> Result<&'a Account> {
    accounts.iter().find(|account| account.id == *id).ok_or_else(|| {
        let detail = format!("account {id} of the hold is not there");
        BalanceError::new(BalanceErrorKind::Corrupt, operation, detail)
    })
}

pub(super) fn replace(accounts: &mut [Account], next: Vec<Account>) {
    for changed in next {
        if let Some(account) = accounts.iter_mut().find(|account| account.id == changed.id) {
            *account = changed;
        }
    }
}

pub(super) fn sorted<'a>(ids: impl Iterator<Item = &'a AccountId>) -> Vec<AccountId> {
    let unique: BTreeSet<&AccountId> = ids.collect();
    unique.into_iter().cloned().collect()
}

pub(super) fn not_negative(operation: &'static str, amount: Money) -> Result<()> {
    if amount.is_negative() {
        return Err(refuse(BalanceErrorKind::InvalidAmount, operation, "an amount is negative"));
    }
    Ok(())
}

pub(super) fn no_account(operation: &'static str, id: &AccountId) -> BalanceError {
    BalanceError::new(BalanceErrorKind::NotFound, operation, format!("no account {id}"))
}

pub(crate) fn refuse(
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: &str,
) -> BalanceError {
    BalanceError::new(kind, operation, detail)
}
