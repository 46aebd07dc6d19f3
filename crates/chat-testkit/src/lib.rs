#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the cases are tests: a broken promise ends them"
)]

mod fixtures;
mod harness;
pub mod ledger;
pub mod persistence;
pub mod usage;

pub use harness::{Harness, Ledger, LedgerHarness, Store, UsageHarness};

/// What the macros need from other crates; no part of the API.
#[doc(hidden)]
pub mod private {
    pub use tokio;
}
