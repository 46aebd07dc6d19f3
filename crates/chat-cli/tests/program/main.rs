//! The program from outside: the built binary, a folder of its own, no network but this machine.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests may fail the test"
)]

mod bad_input;
mod context;
mod conversations;
mod prompt;
mod provider_failures;
mod reports;
mod stopping;
mod support;
mod transfer;
