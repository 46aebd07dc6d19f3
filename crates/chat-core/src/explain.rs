//! Explain: what a turn would send and hold, without sending or holding anything.

use chat_types::{ContextReport, ModelRef, Prompt, Purpose, Scope, StepKey, Tokens};
use chat_usage::{GrantRequest, Quote};

use crate::conductor::REPLY_STEP;
use crate::intake::resolve;
use crate::plan::{BuiltPrompt, build_prompt};
use crate::step::shape_of;
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
        let inner = &self.inner;
        let plan = resolve(inner, scope, request).await?.plan;
        let prompt = build_prompt(inner, &plan, &plan.answerer).await?;
        let shape = shape_of(&prompt.prepared);
        let BuiltPrompt { context, prepared, .. } = prompt;
        let quote = inner.recorder.quote(&GrantRequest {
            key: StepKey { turn: plan.turn.id.clone(), step: REPLY_STEP },
            purpose: Purpose::Reply,
            model: plan.answerer.info.model.clone(),
            input_bound: prepared.input_bound,
            output_cap: context.output_cap,
            accounts: Vec::new(),
            at: plan.turn.created_at,
            shape,
        })?;
        Ok(Explanation {
            model: plan.answerer.info.model,
            report: context.report,
            prompt: context.prompt,
            input_bound: prepared.input_bound,
            quote,
        })
    }
}
