#![doc = include_str!("../README.md")]

mod adapter;
mod answer;
mod client;
mod config;
mod error;
mod maintenance;
mod place;
mod wire;

pub use adapter::HttpLedger;
pub use config::HttpLedgerConfig;
pub use error::InvalidHttpLedgerConfig;
