#![doc = include_str!("../README.md")]

mod adapter;
mod branch;
mod client;
mod close;
mod config;
mod conversations;
mod error;
mod events;
mod files;
mod import;
mod journal;
mod ledger;
mod ledger_notices;
mod ledger_restore;
mod ledger_rows;
mod ledger_scans;
mod maintenance;
mod messages;
mod open;
mod readers;
mod refusal;
mod restore;
mod row;
mod schema;
mod session;
mod steps;
mod turns;
mod usage;
mod writer;

pub use client::SqliteStore;
pub use config::SqliteConfig;
