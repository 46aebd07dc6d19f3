//! The conductor's promises, over the in-memory references and a scripted provider.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers fail loudly"
)]

mod common;

mod budgets;
mod cases;
mod events;
mod hooks;
mod idempotency;
mod ledgers;
mod money;
mod notices;
mod processes;
mod properties;
mod recovery;
mod reported;
mod rounds;
mod steps;
mod tabs;
mod tree;
