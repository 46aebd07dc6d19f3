//! The context over whole turns: long conversations, summaries, forks, steady prefixes, on SQLite.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

mod scene;

mod attachments;
mod compaction;
mod embedded;
mod failures;
mod long;
mod prefix;
