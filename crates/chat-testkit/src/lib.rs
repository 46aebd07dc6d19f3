#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the cases are tests: a broken promise ends them"
)]

pub mod archive;
mod embedder;
mod fixtures;
mod harness;
mod layers;
pub mod ledger;
pub mod persistence;
pub mod rag;
pub mod traces;
pub mod usage;

pub use embedder::HashingEmbedder;
pub use harness::{Harness, Ledger, LedgerHarness, RagHarness, Store, UsageHarness};
pub use layers::{
    After, Failpoint, FailpointError, Layer, Layered, LostAck, Moment, PortCall, Ports,
};

/// What the macros need from other crates; no part of the API.
#[doc(hidden)]
pub mod private {
    pub use tokio;
}
