//! The money is right: nothing is spent that is not there, every call is billed once and as it was charged,
//! and the books say so. Judged by the fake provider's own ledger, which is a process of its own.
//!
//! `m1`–`m10` are the promises of the ledger, `l01`–`l13` LibreChat's acceptance cases, met or made stricter.
//! `CHAT_TEST_FULL=1` raises the counts and the time (`fuzz`: an hour in all), `CHAT_TEST_SEED` repeats a run.
//! Not here: refills, the expiry of grants.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they counted"
)]

mod admission;
mod attempts;
mod bank;
mod bounds;
mod calls;
mod credits;
mod fuzz;
mod kills;
mod leases;
mod librechat;
mod librechat_prices;
mod model;
mod notices;
mod overrun;
mod prices;
mod scopes;
mod steps;
mod traces;

/// So many with the long counts, so few without.
pub(crate) fn counted(few: u64, full: u64) -> u64 {
    if chat_tests::scene::is_full() { full } else { few }
}
