//! The promises of this crate, through its public interface.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers fail loudly"
)]

mod budget;
mod common;
mod cost;
mod files;
mod laws;
mod parts;
mod reading;
mod sections;
mod window;
