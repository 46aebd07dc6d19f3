//! What only this engine can show: what is stored, and what a crash leaves.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test opens its own store and looks underneath"
)]

mod cost;
#[path = "../fresh/mod.rs"]
mod fresh;
mod journal;
mod ledger;
mod reads;
