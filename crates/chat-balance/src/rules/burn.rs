//! In which order money burns: lots before plain money, plain money, lots behind it.
//!
//! Plain money is what the lots leave of what is available; it may be below zero, lots never are.
//! Every function keeps the totals as they are: who takes or gives back changes those.

use chat_types::Money;

use crate::{Account, HoldLeg, Lot, Result};

/// Takes so much of what is available and says what of it were lots; the rest is plain money, also
/// what is not there.
pub(super) fn take(account: &mut Account, amount: Money) -> Result<Vec<Lot>> {
    if account.state.lots.is_empty() {
        return Ok(Vec::new());
    }
    let in_lots = Money::sum(account.state.lots.iter().map(|lot| lot.amount))?;
    let plain = account.available()?.minus(in_lots)?.max(Money::ZERO);
    let (taken, left) = split(&account.state.lots, plain, amount)?;
    account.state.lots = left;
    Ok(taken)
}

/// What is left of a leg's lots once so much of the leg is spent.
pub(super) fn rest_of(leg: &HoldLeg, spent: Money) -> Result<Vec<Lot>> {
    if leg.lots.is_empty() {
        return Ok(Vec::new());
    }
    let in_lots = Money::sum(leg.lots.iter().map(|lot| lot.amount))?;
    let (_, left) = split(&leg.lots, leg.amount.minus(in_lots)?, spent)?;
    Ok(left)
}

/// Adds a lot in its place, or to what is there of the same grant.
pub(super) fn put(lots: &mut Vec<Lot>, lot: Lot) -> Result<()> {
    if let Some(there) = lots.iter_mut().find(|there| there.key == lot.key) {
        there.amount = there.amount.plus(lot.amount)?;
        return Ok(());
    }
    let place = lots.partition_point(|there| there.burn_order(&lot).is_lt());
    lots.insert(place, lot);
    Ok(())
}

/// Takes `amount` from lots in burn order with `plain` at its place; what was taken of them, and
/// what is left.
fn split(lots: &[Lot], plain: Money, amount: Money) -> Result<(Vec<Lot>, Vec<Lot>)> {
    let (mut wanted, mut plain) = (amount, Some(plain));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for lot in lots {
        if !lot.is_before_plain()
            && let Some(plain) = plain.take()
        {
            wanted = wanted.minus(wanted.min(plain))?;
        }
        let part = wanted.min(lot.amount);
        wanted = wanted.minus(part)?;
        let rest = lot.amount.minus(part)?;
        for (amount, lots) in [(part, &mut taken), (rest, &mut left)] {
            if amount > Money::ZERO {
                lots.push(Lot { amount, ..lot.clone() });
            }
        }
    }
    Ok((taken, left))
}
