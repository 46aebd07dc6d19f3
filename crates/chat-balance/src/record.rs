//! Accounts, holds, entries and notices as data.
//!
//! Per account, after every operation: granted + refunded = available + held + posted + expired.

mod account;
mod entry;
mod hold;
mod lot;
mod notice;

use chat_types::TenantId;

pub use account::{Account, AccountKind, AccountSpec};
pub use chat_types::AccountUnit;
pub use entry::{Credit, CreditKind, Entry, EntryKind, Side};
pub(crate) use hold::in_unit;
pub use hold::{Extension, Hold, HoldLeg, HoldRequest, HoldState, LegRequest, Posting, Settlement};
pub use lot::{AccountState, LOTS_MAX, Lot, PRIORITY};
pub(crate) use notice::notice_key;
pub use notice::{Notice, NoticeKind};

/// Rows of a ledger as they were in another one, to be restored.
///
/// A whole ledger may come in several of these; its books are sound when all of it is there. Notices
/// are not among them: they are for whoever listens to the ledger they were written in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRows {
    /// Accounts with their totals, and the tenants they live in.
    pub accounts: Vec<(TenantId, Account)>,
    /// Holds.
    pub holds: Vec<Hold>,
    /// Entries in the order they were written.
    pub entries: Vec<Entry>,
}
