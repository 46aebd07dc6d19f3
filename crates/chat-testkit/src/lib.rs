#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the cases are tests: a broken promise ends them"
)]

mod fixtures;
mod harness;
pub mod persistence;

pub use harness::{Harness, Store};

/// What the macros need from other crates; no part of the API.
#[doc(hidden)]
pub mod private {
    pub use tokio;
}
