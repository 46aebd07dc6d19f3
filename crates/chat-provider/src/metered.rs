//! The only way a helper (summariser, title-maker) can reach a model.

use std::fmt;

use async_trait::async_trait;
use chat_types::{
    ContentPart, FinishReason, ModelOptions, ModelRef, Prompt, PromptItem, Purpose, Role, Section,
    Tokens, Usage,
};

/// A call made on behalf of a turn, besides its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct MeteredRequest {
    /// What it is for; never `Reply`.
    pub purpose: Purpose,
    /// Which model; none: the turn's own.
    pub model: Option<ModelRef>,
    /// Everything that is sent.
    pub prompt: Prompt,
    /// Sampling and the wanted cap.
    pub options: ModelOptions,
}

impl MeteredRequest {
    /// Has the turn's own model do `task` with `subject`: an instruction, then a user message, and at
    /// most `output_tokens_max` back.
    #[must_use]
    pub fn task(
        purpose: Purpose,
        task: impl Into<String>,
        subject: impl Into<String>,
        output_tokens_max: Tokens,
    ) -> Self {
        let item = |section, role, text: String| PromptItem {
            section,
            role,
            parts: vec![ContentPart::text(text)],
            source: None,
            cache_mark: false,
        };
        let items = vec![
            item(Section::Instructions, Role::System, task.into()),
            item(Section::User, Role::User, subject.into()),
        ];
        Self {
            purpose,
            model: None,
            prompt: Prompt { items, tools: Vec::new() },
            options: ModelOptions {
                output_tokens_max: Some(output_tokens_max),
                ..ModelOptions::default()
            },
        }
    }

    /// The same by this model; none: the turn's own.
    #[must_use]
    pub fn by(self, model: Option<ModelRef>) -> Self {
        Self { model, ..self }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredReply {
    /// Everything it said.
    pub text: String,
    /// Why it stopped: with `Length` the text ends in mid-sentence.
    pub finish: FinishReason,
    /// What it consumed.
    pub usage: Usage,
}

/// Why there is no reply: a stable code and one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct MeteredError {
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

impl MeteredError {
    /// Says why.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Makes a call as a step of its own: held, journaled, billed. The conductor implements it.
#[async_trait]
pub trait MeteredCaller: fmt::Debug + Send + Sync {
    /// Calls and waits for the whole reply. Every call is a new step.
    ///
    /// # Errors
    /// `MeteredError` if it was refused or failed; what it consumed is billed all the same.
    async fn call(&self, request: MeteredRequest) -> Result<MeteredReply, MeteredError>;
}
