//! What only this engine can show: what is stored, and what a crash leaves.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test opens its own store and looks underneath"
)]

#[path = "../fresh/mod.rs"]
mod fresh;
mod journal;
mod ledger;
