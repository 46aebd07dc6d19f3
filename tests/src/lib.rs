#![doc = include_str!("../README.md")]

mod chat_program;
pub mod fake_provider;
mod fake_provider_process;
mod recording_proxy;
pub mod services;

pub use chat_program::{ChatHome, ProgramError, build_program, chat_program};
pub use fake_provider_process::{FakeProvider, FakeProviderOptions, SpawnError};
pub use recording_proxy::{Exchange, RecordingProxy};
