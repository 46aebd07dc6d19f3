#![doc = include_str!("../README.md")]

mod config;
mod webhook;
mod wire;

pub use config::{InvalidWebhookConfig, WebhookConfig};
pub use webhook::Webhook;
