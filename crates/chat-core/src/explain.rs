//! Explain: what a turn would send and hold, without sending or holding anything.

use chat_types::{ContextReport, ModelRef, Prompt, Scope, Tokens};
use chat_usage::Quote;

use crate::{BaseClient, Result, TurnRequest};

/// What a turn would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The model that would answer.
    pub model: ModelRef,
    /// Item by item: kept, dropped, why, how many tokens.
    pub report: ContextReport,
    /// Everything that would be sent.
    pub prompt: Prompt,
    /// The most input that could be charged.
    pub input_bound: Tokens,
    /// The hold that would be asked for, and the least.
    pub quote: Quote,
}

impl BaseClient {
    /// Builds the prompt of `request` and prices it. Writes nothing, calls no provider.
    ///
    /// # Errors
    /// As [`BaseClient::send_message`], and what would end the turn before its call.
    pub async fn explain(&self, scope: &Scope, request: &TurnRequest) -> Result<Explanation> {
        crate::intake::explain(&self.inner, scope, request).await
    }
}
