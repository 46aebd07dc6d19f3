//! Accounts, holds and entries as data.
//!
//! Per account, after every operation: granted + refunded = available + held + posted + expired.

mod account;
mod entry;
mod hold;
mod lot;

use chat_types::TenantId;

pub use account::{Account, AccountKind, AccountSpec, AccountUnit};
pub use entry::{Credit, CreditKind, Entry, EntryKind, Side};
pub(crate) use hold::in_unit;
pub use hold::{Extension, Hold, HoldLeg, HoldRequest, HoldState, LegRequest, Posting, Settlement};
pub use lot::{AccountState, LOTS_MAX, Lot, PRIORITY};

/// Rows of a ledger as they were in another one, to be restored.
///
/// A whole ledger may come in several of these; its books are sound when all of it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRows {
    /// Accounts with their totals, and the tenants they live in.
    pub accounts: Vec<(TenantId, Account)>,
    /// Holds.
    pub holds: Vec<Hold>,
    /// Entries in the order they were written.
    pub entries: Vec<Entry>,
}
