#![doc = include_str!("../README.md")]

mod adapter;
mod audit;
mod error;
mod memory;
mod record;
mod repeat;
pub mod rules;

pub use adapter::{BalanceAdapter, LedgerMaintenance};
pub use audit::{AuditBreak, AuditReport, LedgerAudit};
pub use error::{BalanceError, BalanceErrorKind, Refusal};
pub use memory::MemoryLedger;
pub use record::{
    Account, AccountKind, AccountSpec, Credit, CreditKind, Entry, EntryKind, Hold, HoldLeg,
    HoldRequest, HoldState, LedgerRows, LegRequest, Posting, Settlement, Side,
};
pub use repeat::{
    repeat_credit, repeat_hold, repeat_open, repeat_release, repeat_restore, repeat_settle,
};

/// What every method of the ports answers with.
pub type Result<T, E = BalanceError> = std::result::Result<T, E>;
