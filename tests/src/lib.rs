#![doc = include_str!("../README.md")]

pub mod billing_service;
mod chat_program;
mod connections;
pub mod fake_provider;
mod fake_provider_process;
mod layered_runtime;
mod notice_receiver;
mod recording_proxy;
pub mod scene;
pub mod services;

pub use chat_program::{ChatHome, ProgramError, build_program, chat_program};
pub use fake_provider_process::{FakeProvider, FakeProviderOptions, SpawnError};
pub use layered_runtime::LayeredRuntime;
pub use notice_receiver::{NoticeReceiver, Posted};
pub use recording_proxy::{Exchange, RecordingProxy};
