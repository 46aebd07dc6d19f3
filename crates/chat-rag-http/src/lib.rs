#![doc = include_str!("../README.md")]

mod call;
mod client;
mod config;
mod error;
mod files;
mod multipart;
mod retrieve;
mod token;
mod wire;

pub use client::HttpRag;
pub use config::HttpRagConfig;
pub use files::{Embedded, Upload};
