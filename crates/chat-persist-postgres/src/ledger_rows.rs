//! Rows of the ledger: accounts, holds with their legs, entries.

use chat_balance::{
    Account, AccountKind, AccountUnit, BalanceError, BalanceErrorKind, Entry, EntryKind, Hold,
    HoldState, Result, Side,
};
use chat_types::{Scope, StepKey};

use crate::error::EngineResult;
use crate::escape::unescape;
use crate::row::{Columns, decode};

pub(crate) fn refused<T>(
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: &'static str,
) -> Result<T> {
    Err(BalanceError::new(kind, operation, detail))
}

/// The columns `account_of_row` reads, of table `a`.
macro_rules! account_columns {
    () => {
        "a.id, a.owner, a.kind, a.unit, a.granted, a.refunded, a.held, a.posted, a.expired, a.state"
    };
}
pub(crate) use account_columns;

pub(crate) fn account_of_row(columns: &mut Columns<'_>) -> EngineResult<Account> {
    Ok(Account {
        id: columns.parsed()?,
        owner: columns.optional_parsed()?,
        kind: columns.named(AccountKind::from_stored)?,
        unit: columns.named(AccountUnit::from_stored)?,
        granted: columns.money()?,
        refunded: columns.money()?,
        held: columns.money()?,
        posted: columns.money()?,
        expired: columns.money()?,
        state: decode(columns.text()?)?,
    })
}

/// How many columns `hold_columns` are.
pub(crate) const HOLD_COLUMNS: usize = 9;

/// The columns `hold_of_row` reads, of table `h`.
macro_rules! hold_columns {
    () => {
        "h.tenant, h.user_id, h.turn, h.step, h.state, h.legs, h.extended_to, h.opened_at, \
         h.closed_at"
    };
}
pub(crate) use hold_columns;

pub(crate) fn hold_of_row(columns: &mut Columns<'_>) -> EngineResult<Hold> {
    Ok(Hold {
        scope: Scope::new(columns.parsed()?, columns.parsed()?),
        key: StepKey { turn: columns.parsed()?, step: columns.small()? },
        state: columns.named(HoldState::from_stored)?,
        legs: decode(columns.text()?)?,
        extended_to: columns.small()?,
        opened_at: columns.time()?,
        closed_at: columns.optional_time()?,
    })
}

/// The columns `entry_of_row` reads, of table `e`.
macro_rules! entry_columns {
    () => {
        "e.tenant, e.user_id, e.debit, e.credit, e.amount, e.kind, e.reference, e.at"
    };
}
pub(crate) use entry_columns;

pub(crate) fn entry_of_row(columns: &mut Columns<'_>) -> EngineResult<Entry> {
    Ok(Entry {
        scope: Scope::new(columns.parsed()?, columns.parsed()?),
        debit: columns.named(Side::from_stored)?,
        credit: columns.named(Side::from_stored)?,
        amount: columns.money()?,
        kind: columns.named(EntryKind::from_stored)?,
        reference: unescape(columns.text()?)?,
        at: columns.time()?,
    })
}
