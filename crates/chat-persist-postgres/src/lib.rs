#![doc = include_str!("../README.md")]

mod adapter;
mod books;
mod branch;
mod client;
mod close;
mod config;
mod conversations;
mod error;
mod escape;
mod events;
mod files;
mod import;
mod journal;
mod leases;
mod ledger;
mod ledger_lanes;
mod ledger_notices;
mod ledger_places;
mod ledger_restore;
mod ledger_rows;
mod ledger_save;
mod ledger_scans;
mod ledger_writes;
mod maintenance;
mod messages;
mod open;
mod pool;
#[cfg(feature = "pgvector")]
mod rag;
mod refusal;
mod restore;
mod row;
mod runner;
mod schema;
mod session;
mod steps;
mod turns;
mod usage;

pub use client::PostgresStore;
pub use config::PostgresConfig;
#[cfg(feature = "pgvector")]
pub use rag::PostgresRag;
