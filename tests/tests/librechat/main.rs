//! A database of LibreChat's own models under the `chat` program: it is listed, continued and carried into
//! other stores, and LibreChat's models read what was said.
//!
//! Needs PostgreSQL, MongoDB and the models (`CHAT_TEST_POSTGRES_URL`, `CHAT_TEST_MONGO_URL`,
//! `CHAT_TEST_LIBRECHAT_MODELS`); `cargo xtask test librechat` sets them. Every test has databases of its
//! own. Not here: which field of a document means what (`chat-persist-mongo`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they left behind"
)]

mod archives;
mod continuing;
mod database;
mod importing;
mod peer;
mod program;
mod reading;
