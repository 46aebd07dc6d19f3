//! The ledger's rules: pure, total, without I/O; every store decides with them.
//!
//! A store loads what [`accounts_of`] or [`accounts_of_hold`] name (locking in that order), calls
//! one rule and writes back what changed, all in one transaction. A rule that fails has changed
//! nothing; one that succeeds keeps granted + refunded = available + held + posted + expired.
//! Not here: keys that were used before are found by the store and judged in `repeat`.

use std::collections::BTreeSet;

use chat_types::{AccountId, Money, Scope, StepKey, Timestamp};

use crate::{
    Account, AccountKind, AccountSpec, BalanceError, BalanceErrorKind, Credit, CreditKind, Entry,
    EntryKind, Hold, HoldLeg, HoldRequest, HoldState, LegRequest, Posting, Refusal, Result,
    Settlement, Side,
};

/// The most accounts of one hold: user, team, key and a few quotas fit; locks stay few.
pub const LEGS_MAX: usize = 16;

/// The key of the grant an account is opened with.
pub const OPENING_KEY: &str = "opening";

/// The accounts a hold request needs, sorted: locks taken in this order never deadlock.
#[must_use]
pub fn accounts_of(request: &HoldRequest) -> Vec<AccountId> {
    sorted(request.legs.iter().map(|leg| &leg.account))
}

/// The accounts of a hold, sorted: what extend, settle and release need.
#[must_use]
pub fn accounts_of_hold(hold: &Hold) -> Vec<AccountId> {
    sorted(hold.legs.iter().map(|leg| &leg.account))
}

/// Whether this user finds the account (in the scope's own tenant).
#[must_use]
pub fn is_visible(account: &Account, scope: &Scope) -> bool {
    account.owner.as_ref().is_none_or(|owner| *owner == scope.user)
}

/// A new account and its opening grant, if that is above zero.
///
/// # Errors
/// `Conflict` if it is to belong to another user; `InvalidAmount` for a negative opening.
pub fn open(scope: &Scope, spec: &AccountSpec, at: Timestamp) -> Result<(Account, Option<Entry>)> {
    if spec.owner.as_ref().is_some_and(|owner| *owner != scope.user) {
        return Err(refuse(BalanceErrorKind::Conflict, "open account", "it is another user's"));
    }
    not_negative("open account", spec.opening)?;
    let mut account = Account::opened(spec);
    if spec.opening == Money::ZERO {
        return Ok((account, None));
    }
    let opening = Credit {
        account: spec.id.clone(),
        kind: CreditKind::Grant,
        key: OPENING_KEY.to_owned(),
        amount: spec.opening,
        at,
    };
    let entry = credit(scope, &mut account, &opening)?;
    Ok((account, Some(entry)))
}

/// Grants or refunds; the entry is appended.
///
/// # Errors
/// `NotFound` if the account is not this user's; `InvalidAmount` unless it is above zero and fits.
pub fn credit(scope: &Scope, account: &mut Account, credit: &Credit) -> Result<Entry> {
    const OPERATION: &str = "credit";
    if account.id != credit.account || !is_visible(account, scope) {
        return Err(no_account(OPERATION, &credit.account));
    }
    if credit.amount <= Money::ZERO {
        return Err(refuse(BalanceErrorKind::InvalidAmount, OPERATION, "it is not above zero"));
    }
    let mut next = account.clone();
    let (debit, kind) = match credit.kind {
        CreditKind::Grant => {
            next.granted = next.granted.plus(credit.amount)?;
            (Side::Source, EntryKind::Grant)
        }
        CreditKind::Refund => {
            next.refunded = next.refunded.plus(credit.amount)?;
            (Side::Revenue, EntryKind::Refund)
        }
    };
    next.available()?;
    *account = next;
    Ok(Entry {
        scope: scope.clone(),
        debit,
        credit: Side::Wallet(credit.account.clone()),
        amount: credit.amount,
        kind,
        reference: credit_reference(&credit.account, &credit.key),
        at: credit.at,
    })
}

/// Reserves on all accounts or on none; `accounts` holds at least the visible ones of the request.
///
/// A limited account gives what it has between floor and amount; a floor of zero is always given.
///
/// # Errors
/// As `BalanceAdapter::hold`.
pub fn place_hold(scope: &Scope, accounts: &mut [Account], request: &HoldRequest) -> Result<Hold> {
    const OPERATION: &str = "hold";
    check_request(request)?;
    let ids = accounts_of(request);
    must_be_there(OPERATION, scope, accounts, &ids)?;
    let mut legs = Vec::with_capacity(request.legs.len());
    let mut next = Vec::with_capacity(request.legs.len());
    for leg in &request.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        let amount = offered(OPERATION, &account, leg)?;
        account.held = account.held.plus(amount)?;
        account.available()?;
        legs.push(HoldLeg { account: leg.account.clone(), amount, posted: Money::ZERO });
        next.push(account);
    }
    replace(accounts, next);
    Ok(Hold {
        scope: scope.clone(),
        key: request.key.clone(),
        state: HoldState::Open,
        legs,
        extended_to: 1,
        opened_at: request.at,
        closed_at: None,
    })
}

/// Reserves `extra` more on every leg before attempt number `attempt`. False: nothing to do, an
/// extension for this attempt or a later one is there.
///
/// # Errors
/// `InsufficientFunds`; `Conflict` if the hold is resolved; `InvalidAmount`.
pub fn extend(
    hold: &mut Hold,
    accounts: &mut [Account],
    attempt: u32,
    extra: Money,
) -> Result<bool> {
    const OPERATION: &str = "extend";
    not_negative(OPERATION, extra)?;
    if hold.state != HoldState::Open {
        return Err(refuse(BalanceErrorKind::Conflict, OPERATION, "the hold is resolved"));
    }
    if attempt <= hold.extended_to {
        return Ok(false);
    }
    let mut next_hold = hold.clone();
    let mut next = Vec::with_capacity(hold.legs.len());
    for leg in &mut next_hold.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        let wanted = LegRequest { account: leg.account.clone(), amount: extra, floor: extra };
        let amount = offered(OPERATION, &account, &wanted)?;
        account.held = account.held.plus(amount)?;
        account.available()?;
        leg.amount = leg.amount.plus(amount)?;
        next.push(account);
    }
    next_hold.extended_to = attempt;
    replace(accounts, next);
    *hold = next_hold;
    Ok(true)
}

/// Posts every attempt on every leg and gives the rest back; the entries are appended in order.
///
/// Per leg: one `Usage` entry per attempt, clipped to what is left of the leg, then one `Overrun`
/// entry for the clipped excess if there is any.
///
/// # Errors
/// `Conflict` if the hold is resolved; `InvalidAmount` for no postings, a negative amount, attempts
/// out of order or a sum that does not fit; `Corrupt` if an account of the hold is not there.
pub fn settle(
    hold: &mut Hold,
    accounts: &mut [Account],
    settlement: &Settlement,
) -> Result<Vec<Entry>> {
    const OPERATION: &str = "settle";
    check_postings(&settlement.postings)?;
    must_be_open(OPERATION, hold)?;
    let total = Money::sum(settlement.postings.iter().map(|posting| posting.amount))?;
    let mut next_hold = hold.clone();
    let mut next = Vec::with_capacity(hold.legs.len());
    let mut entries = Vec::new();
    for leg in &mut next_hold.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        account.held = account.held.minus(leg.amount)?;
        account.posted = account.posted.plus(total)?;
        account.available()?;
        leg.posted = total;
        next.push(account);

        let entry = |kind, amount, reference| Entry {
            scope: hold.scope.clone(),
            debit: Side::Wallet(leg.account.clone()),
            credit: Side::Revenue,
            amount,
            kind,
            reference,
            at: settlement.at,
        };
        let mut left = leg.amount;
        for posting in &settlement.postings {
            let amount = posting.amount.min(left);
            left = left.minus(amount)?;
            let reference = usage_reference(&leg.account, &hold.key, posting.attempt);
            entries.push(entry(EntryKind::Usage, amount, reference));
        }
        let excess = total.minus(leg.amount.minus(left)?)?;
        if excess > Money::ZERO {
            let reference = overrun_reference(&leg.account, &hold.key);
            entries.push(entry(EntryKind::Overrun, excess, reference));
        }
    }
    next_hold.state = HoldState::Posted;
    next_hold.closed_at = Some(settlement.at);
    replace(accounts, next);
    *hold = next_hold;
    Ok(entries)
}

/// Gives everything back.
///
/// # Errors
/// `Conflict` if the hold is resolved; `Corrupt` if an account of the hold is not there.
pub fn release(hold: &mut Hold, accounts: &mut [Account], at: Timestamp) -> Result<()> {
    const OPERATION: &str = "release";
    must_be_open(OPERATION, hold)?;
    let mut next = Vec::with_capacity(hold.legs.len());
    for leg in &hold.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        account.held = account.held.minus(leg.amount)?;
        next.push(account);
    }
    replace(accounts, next);
    hold.state = HoldState::Released;
    hold.closed_at = Some(at);
    Ok(())
}

/// The reference of a grant or refund.
#[must_use]
pub fn credit_reference(account: &AccountId, key: &str) -> String {
    format!("{account}/{key}")
}

/// The reference of an attempt's usage entry.
#[must_use]
pub fn usage_reference(account: &AccountId, key: &StepKey, attempt: u32) -> String {
    format!("{account}/{}/{}/{attempt}", key.turn, key.step)
}

/// The reference of a step's overrun entry.
#[must_use]
pub fn overrun_reference(account: &AccountId, key: &StepKey) -> String {
    format!("{account}/{}/{}", key.turn, key.step)
}

/// What the account gives for a leg.
fn offered(operation: &'static str, account: &Account, leg: &LegRequest) -> Result<Money> {
    let available = account.available()?;
    if account.kind == AccountKind::Unlimited || available >= leg.amount {
        return Ok(leg.amount);
    }
    let offer = available.max(Money::ZERO);
    if offer < leg.floor {
        return Err(BalanceError::refused(
            operation,
            Refusal {
                account: account.id.clone(),
                need: leg.floor,
                available,
                held: account.held,
                refill_at: None,
            },
        ));
    }
    Ok(offer.min(leg.amount))
}

fn check_request(request: &HoldRequest) -> Result<()> {
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

fn check_postings(postings: &[Posting]) -> Result<()> {
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

fn must_be_open(operation: &'static str, hold: &Hold) -> Result<()> {
    match hold.state {
        HoldState::Open => Ok(()),
        HoldState::Posted | HoldState::Released => {
            Err(refuse(BalanceErrorKind::Conflict, operation, "the hold is resolved"))
        }
    }
}

fn must_be_there(
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

fn find<'a>(
    operation: &'static str,
    accounts: &'a [Account],
    id: &AccountId,
) -> Result<&'a Account> {
    accounts.iter().find(|account| account.id == *id).ok_or_else(|| {
        let detail = format!("account {id} of the hold is not there");
        BalanceError::new(BalanceErrorKind::Corrupt, operation, detail)
    })
}

fn replace(accounts: &mut [Account], next: Vec<Account>) {
    for changed in next {
        if let Some(account) = accounts.iter_mut().find(|account| account.id == changed.id) {
            *account = changed;
        }
    }
}

fn sorted<'a>(ids: impl Iterator<Item = &'a AccountId>) -> Vec<AccountId> {
    let unique: BTreeSet<&AccountId> = ids.collect();
    unique.into_iter().cloned().collect()
}

fn not_negative(operation: &'static str, amount: Money) -> Result<()> {
    if amount.is_negative() {
        return Err(refuse(BalanceErrorKind::InvalidAmount, operation, "an amount is negative"));
    }
    Ok(())
}

fn no_account(operation: &'static str, id: &AccountId) -> BalanceError {
    BalanceError::new(BalanceErrorKind::NotFound, operation, format!("no account {id}"))
}

pub(crate) fn refuse(
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: &str,
) -> BalanceError {
    BalanceError::new(kind, operation, detail)
}
