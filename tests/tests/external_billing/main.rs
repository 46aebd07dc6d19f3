//! A ledger in a billing service: the whole conformance suite over real HTTP, faults on the way,
//! turns that are paid there, and the `chat` program on it.
//!
//! The service is the reference of `chat_tests::billing_service`, unless `CHAT_BILLING_URL` names
//! one of your own (`docs/external-billing.md`): then the conformance suite asks that one.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod conformance;
mod faults;
mod ledgers;
mod program;
mod turns;
