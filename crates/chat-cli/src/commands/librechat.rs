//! `chat import librechat`: what a LibreChat database holds, into any store.

use crate::arguments::LibreChat;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// Reads a LibreChat database and writes what is not there yet.
pub(crate) async fn import(
    _source: &LibreChat,
    _settings: &Settings,
    _output: &Output,
) -> Result<Exit, Failure> {
    Err(Failure::new("feature_off", "reading LibreChat needs the feature `mongo`"))
}
