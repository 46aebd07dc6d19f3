//! What time does to an account: grants run out, refills come.
//!
//! Each happens once, whoever touches the account first: a lot leaves the account when it runs out,
//! and the newest period that was filled is kept. Time never goes back in one account.

use chat_types::{Money, Scope, Timestamp};

use super::burn::{put, take};
use super::{credit_reference, held_reference, refill_reference};
use crate::{Account, Entry, EntryKind, Hold, Lot, Refill, RefillMode, Result, Side};

/// Lets run out what has, then gives what is due.
pub(super) fn fall_due(
    scope: &Scope,
    account: &mut Account,
    refill: Option<&Refill>,
    at: Timestamp,
) -> Result<Vec<Entry>> {
    let now = at.max(account.state.as_of);
    account.state.as_of = now;
    let mut entries = Vec::new();
    let lots = std::mem::take(&mut account.state.lots);
    for lot in lots {
        if lot.is_due(now) {
            account.expired = account.expired.plus(lot.amount)?;
            let reference = credit_reference(&account.id, &lot.key);
            entries.push(expiry(scope, account, lot.amount, reference, now));
        } else {
            account.state.lots.push(lot);
        }
    }
    if let Some(refill) = refill {
        entries.extend(fill(scope, account, refill, now)?);
    }
    Ok(entries)
}

/// Puts lots that were held back into the account; what has run out meanwhile expires.
pub(super) fn give_back(
    hold: &Hold,
    account: &mut Account,
    lots: Vec<Lot>,
    at: Timestamp,
) -> Result<Vec<Entry>> {
    let now = at.max(account.state.as_of);
    account.state.as_of = now;
    let mut entries = Vec::new();
    for lot in lots {
        if lot.is_due(now) {
            account.expired = account.expired.plus(lot.amount)?;
            let reference = held_reference(&account.id, &lot.key, &hold.key);
            entries.push(expiry(&hold.scope, account, lot.amount, reference, now));
        } else {
            put(&mut account.state.lots, lot)?;
        }
    }
    Ok(entries)
}

fn fill(
    scope: &Scope,
    account: &mut Account,
    refill: &Refill,
    now: Timestamp,
) -> Result<Option<Entry>> {
    let newest = refill.period.start(now);
    // Without a plan until now, the period it is first seen in is due.
    let periods = account.state.refilled_at.map_or(1, |since| refill.period.begun(since, now));
    if periods == 0 {
        return Ok(None);
    }
    account.state.refilled_at = Some(newest);
    let reference = refill_reference(&account.id, newest);
    match refill.mode {
        RefillMode::Add => {
            let amount = times(refill.amount, periods)?;
            grant(scope, account, amount, reference, now)
        }
        RefillMode::Reset => {
            let balance = account.available()?.plus(account.held)?;
            let missing = refill.amount.minus(balance)?;
            if missing > Money::ZERO {
                return grant(scope, account, missing, reference, now);
            }
            // What is held is spoken for: it cannot run out.
            let surplus = balance.minus(refill.amount)?.min(account.available()?);
            if surplus <= Money::ZERO {
                return Ok(None);
            }
            take(account, surplus)?;
            account.expired = account.expired.plus(surplus)?;
            Ok(Some(expiry(scope, account, surplus, reference, now)))
        }
    }
}

fn grant(
    scope: &Scope,
    account: &mut Account,
    amount: Money,
    reference: String,
    now: Timestamp,
) -> Result<Option<Entry>> {
    if amount <= Money::ZERO {
        return Ok(None);
    }
    account.granted = account.granted.plus(amount)?;
    Ok(Some(Entry {
        scope: scope.clone(),
        debit: Side::Source,
        credit: Side::Wallet(account.id.clone()),
        amount,
        kind: EntryKind::Grant,
        reference,
        at: now,
    }))
}

/// So many periods at once; more than fits is an error, not a wrap.
fn times(amount: Money, periods: u64) -> Result<Money> {
    let nano = i64::try_from(periods).ok().and_then(|n| amount.nano_usd().checked_mul(n));
    Ok(nano.map(Money::from_nano_usd).ok_or(chat_types::MoneyOverflow)?)
}

fn expiry(
    scope: &Scope,
    account: &Account,
    amount: Money,
    reference: String,
    at: Timestamp,
) -> Entry {
    Entry {
        scope: scope.clone(),
        debit: Side::Wallet(account.id.clone()),
        credit: Side::Expired,
        amount,
        kind: EntryKind::Expiry,
        reference,
        at,
    }
}
