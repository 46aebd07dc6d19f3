//! What the provider promises, through the port and over a scripted network.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "test helpers")]

mod config;
mod cost;
mod errors;
mod prepare;
mod retry;
mod shape;
mod socket;
mod stream;
mod support;
