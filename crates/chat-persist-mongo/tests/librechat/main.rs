//! A database of LibreChat's own models is opened and continued, and those models read it after.

#![expect(dead_code, reason = "LibreChat runs on a replica set here, on no standalone server")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test opens its own store and looks underneath"
)]

#[path = "../fresh/mod.rs"]
mod fresh;
mod import;
mod models;
mod open;
