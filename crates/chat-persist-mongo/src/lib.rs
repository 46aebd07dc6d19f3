#![doc = include_str!("../README.md")]

mod adapter;
mod branch;
mod client;
mod close;
mod collections;
mod config;
mod conversations;
mod error;
mod events;
mod files;
mod import;
mod indexes;
mod journal;
mod lanes;
mod ledger;
mod ledger_places;
mod ledger_restore;
mod ledger_rows;
mod ledger_writes;
mod librechat;
mod maintenance;
mod messages;
mod object_ids;
mod open;
mod record;
mod refusal;
mod scans;
mod steps;
mod turns;
mod unit;
mod usage;
mod users;

pub use client::MongoStore;
pub use config::MongoConfig;
pub use librechat::{LibreChatReport, LibreChatSource, LibreChatTotals};
pub use users::UserError;
