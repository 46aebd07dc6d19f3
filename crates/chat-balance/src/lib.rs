#![doc = include_str!("../README.md")]

mod adapter;
mod error;
mod record;

pub use adapter::{BalanceAdapter, LedgerMaintenance};
pub use error::{BalanceError, BalanceErrorKind, Refusal};
pub use record::{
    Account, AccountKind, AccountSpec, Credit, CreditKind, Entry, EntryKind, Hold, HoldLeg,
    HoldRequest, HoldState, LegRequest, Posting, Settlement, Side,
};

/// What every method of the ports answers with.
pub type Result<T, E = BalanceError> = std::result::Result<T, E>;
