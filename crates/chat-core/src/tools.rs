//! Tools of the product: what a model may call, and how it is run.

use std::fmt;

use async_trait::async_trait;
use chat_types::{Scope, StepKey, ToolSpec};

/// One call that a model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The step that asked: with `call_id` a key for work that must not be done twice.
    pub step: StepKey,
    /// The model's own name of the call.
    pub call_id: String,
    /// Which tool; may be one that was not offered.
    pub name: String,
    /// JSON as the model wrote it; may be malformed.
    pub arguments: String,
}

/// What a model is told instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolFailure {
    message: String,
}

impl ToolFailure {
    /// Says what went wrong, for the model to act on.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// The tools of a product. Each round of calls is followed by another call to the model: a step of
/// its own, held and billed like the first.
#[async_trait]
pub trait Toolbox: fmt::Debug + Send + Sync + 'static {
    /// What is offered in this scope, in a stable order: it is part of the cached prefix.
    fn tools(&self, scope: &Scope) -> Vec<ToolSpec>;

    /// Runs one call; those of one round run at the same time. Dropped when the turn is stopped or
    /// its deadline passes; a crash repeats nothing.
    ///
    /// # Errors
    /// `ToolFailure`: the model reads it and goes on.
    async fn call(&self, scope: &Scope, call: ToolCall) -> Result<String, ToolFailure>;
}

/// An answer as the reply keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolResult {
    pub(crate) call_id: String,
    pub(crate) text: String,
    pub(crate) is_error: bool,
}

/// More than a window holds; what is beyond it is left out and the model is told so.
const RESULT_BYTES_MAX: usize = 256 * 1024;

impl ToolResult {
    pub(crate) fn new(call_id: String, answer: Result<String, ToolFailure>) -> Self {
        let is_error = answer.is_err();
        let mut text = answer.unwrap_or_else(|failure| failure.message);
        if text.len() > RESULT_BYTES_MAX {
            let left_out = text.len().saturating_sub(RESULT_BYTES_MAX);
            text.truncate(text.floor_char_boundary(RESULT_BYTES_MAX));
            text.push_str(&format!("\n[{left_out} bytes left out]"));
        }
        Self { call_id, text, is_error }
    }
}
