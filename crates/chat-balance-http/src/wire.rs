//! The JSON of the contract, version 1, and its conversion field by field.
//!
//! Amounts are integers in the account's unit, times whole milliseconds of the Unix epoch. A member
//! nobody knows is ignored, so that a service may say more; one that is missing or of another type
//! is an error that names it. Not here: addresses and keys (`place`), statuses and errors
//! (`answer`).

mod asked;
mod rows;

use chat_balance::{AccountUnit, LedgerRows, Refusal};
use chat_types::{AccountId, Money, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use asked::{
    AddCredit, ExtendHold, OpenAccount, Refresh, ReleaseHold, SettleHold, TakeHold, credit_kind,
};
pub(crate) use rows::{AccountRow, EntryRow, HoldRow};

/// A value that the contract does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member} has a value that the contract does not know")]
pub(crate) struct Unknown {
    pub(crate) member: &'static str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AccountsPage {
    pub(crate) accounts: Vec<AccountRow>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HoldsPage {
    pub(crate) holds: Vec<HoldRow>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EntriesPage {
    pub(crate) entries: Vec<EntryRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RestoreRows {
    accounts: Vec<AccountRow>,
    holds: Vec<HoldRow>,
    entries: Vec<EntryRow>,
}

impl From<&LedgerRows> for RestoreRows {
    fn from(rows: &LedgerRows) -> Self {
        let accounts = rows.accounts.iter();
        Self {
            accounts: accounts.map(|(tenant, row)| AccountRow::new(tenant, row)).collect(),
            holds: rows.holds.iter().map(HoldRow::from).collect(),
            entries: rows.entries.iter().map(EntryRow::from).collect(),
        }
    }
}

/// What a restore answers with: an object, so that it may say more one day.
#[derive(Debug, Deserialize)]
pub(crate) struct Restored {}

#[derive(Debug, Deserialize)]
pub(crate) struct ErrorAnswer {
    pub(crate) error: ErrorBody,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    account: Option<AccountId>,
    unit: Option<String>,
    need: Option<i64>,
    available: Option<i64>,
    held: Option<i64>,
    refill_at_unix_ms: Option<i64>,
}

impl ErrorBody {
    /// The numbers of a refusal; none unless all that must be there are.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        Some(Refusal {
            account: self.account.clone()?,
            unit: AccountUnit::from_stored(self.unit.as_deref()?)?,
            need: Money::from_nano_usd(self.need?),
            available: Money::from_nano_usd(self.available?),
            held: Money::from_nano_usd(self.held?),
            refill_at: self.refill_at_unix_ms.map(Timestamp::from_unix_ms),
        })
    }
}
