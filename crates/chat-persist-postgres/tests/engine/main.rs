//! What this engine promises beyond the ports: opening, settings, lost connections, stored shapes.

#![expect(clippy::expect_used, clippy::panic, reason = "tests stop at the first broken promise")]
#![expect(clippy::string_slice, reason = "a URL is cut where it was found to end")]

mod common;
mod cost;
mod database;
mod ledger;
mod opening;
mod running;
mod shapes;
