//! The promises of the crate, through its public API; one binary, one module per theme.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test they help"
)]

mod errors;
mod http;
mod memory;
mod obvious_parser;
mod retry_loop;
mod retry_table;
mod shared_limits;
mod sse_conformance;
mod sse_differential;
mod sse_limits;
mod timeouts;
