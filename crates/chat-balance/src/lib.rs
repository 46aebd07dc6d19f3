#![doc = include_str!("../README.md")]

mod adapter;
mod audit;
mod error;
mod memory;
mod notices;
mod record;
mod refill;
mod repeat;
pub mod rules;

pub use adapter::{BalanceAdapter, LedgerMaintenance};
pub use audit::{AuditBreak, AuditReport, LedgerAudit};
pub use error::{BalanceError, BalanceErrorKind, Refusal};
pub use memory::MemoryLedger;
pub use notices::{NOTICES_KEPT_MS, NotDelivered, NoticeSink};
pub use record::{
    Account, AccountKind, AccountSpec, AccountState, AccountUnit, Credit, CreditKind, Entry,
    EntryKind, Extension, Hold, HoldLeg, HoldRequest, HoldState, LOTS_MAX, LedgerRows, LegRequest,
    Lot, Notice, NoticeKind, PRIORITY, Posting, Settlement, Side,
};
pub use refill::{InvalidPeriod, Period, PeriodUnit, Refill, RefillMode};
pub use repeat::{
    repeat_credit, repeat_hold, repeat_open, repeat_release, repeat_restore, repeat_settle,
};

/// What every method of the ports answers with.
pub type Result<T, E = BalanceError> = std::result::Result<T, E>;
