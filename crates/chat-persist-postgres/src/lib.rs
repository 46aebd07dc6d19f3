#![doc = include_str!("../README.md")]

mod client;
mod config;
mod error;
mod escape;
mod open;
mod pool;
mod refusal;
mod row;
mod runner;
mod schema;
mod session;

pub use client::PostgresStore;
pub use config::PostgresConfig;
