#![doc = include_str!("../README.md")]

mod add;
mod codes;
mod config;
mod documents;
mod engine;
mod error;
mod index;
mod open;
mod row;
mod schema;
mod search;
mod vectors;

pub use config::{LocalRagConfig, SearchBy};
pub use index::LocalRag;
