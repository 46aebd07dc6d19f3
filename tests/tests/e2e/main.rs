//! The main job with the real program: the embedded model, a server that nobody here wrote, and servers that
//! misbehave.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they saw"
)]

mod books;
mod embedded;
mod peer;
mod real_server;
mod token_counts;
mod troubles;
mod watched;
