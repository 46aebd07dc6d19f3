#![doc = include_str!("../README.md")]

mod call;
mod config;
mod decode;
mod error;
mod gate;
mod list;
mod models;
mod provider;
mod reply;
mod request;
mod scalar;
mod shape;
mod usage;
mod wire;

pub use config::{CapField, ModelOverride, OPENAI_BASE_URL, OPENAI_KEY_NAME, OpenAiConfig};
pub use provider::OpenAiProvider;
pub use wire::CHAT_COMPLETIONS_API;
