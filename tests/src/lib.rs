#![doc = include_str!("../README.md")]

pub mod fake_provider;
mod fake_provider_process;

pub use fake_provider_process::{FakeProvider, FakeProviderOptions, SpawnError};
