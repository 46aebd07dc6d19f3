//! Explain: what a turn would send and hold, without sending or holding anything.

use chat_types::{
    ContextReport, ModelRef, Money, Prompt, Purpose, Scope, Section, StepKey, Timestamp, Tokens,
    Usage,
};
use chat_usage::{GrantRequest, Quote};

use crate::inner::Inner;
use crate::step::shape_of;
use crate::turn::conductor::REPLY_STEP;
use crate::turn::intake::resolve;
use crate::turn::prompt::{BuiltPrompt, build_prompt};
use crate::{BaseClient, Result, TurnRequest};

/// What a turn would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The model that would answer.
    pub model: ModelRef,
    /// Item by item: kept, trimmed, summarised, dropped, why, how many tokens.
    pub report: ContextReport,
    /// Everything that would be sent.
    pub prompt: Prompt,
    /// The most input that could be charged.
    pub input_bound: Tokens,
    /// The hold that would be asked for, and the least.
    pub quote: Quote,
    /// What each section costs as input that no cache has, in the order sent.
    pub section_costs: Vec<(Section, Money)>,
    /// What is paid once more because the prefix is not the previous prompt's: the price of input
    /// above that of a cache read. None if it is not known what the previous prompt was.
    pub broken_prefix_cost: Option<Money>,
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
        let model = plan.answerer.info.model;
        let at = plan.turn.created_at;
        let quote = inner.recorder.quote(&GrantRequest {
            key: StepKey { turn: plan.turn.id.clone(), step: REPLY_STEP },
            purpose: Purpose::Reply,
            model: model.clone(),
            input_bound: prepared.input_bound,
            output_cap: context.output_cap,
            accounts: Vec::new(),
            at,
            shape,
        })?;
        let prices = Prices { inner, model: &model, at };
        let sections = context.report.sections.iter();
        let section_costs = sections
            .map(|section| Ok((section.section, prices.uncached(section.tokens)?)))
            .collect::<Result<_>>()?;
        let broken_prefix_cost = match &context.report.prefix {
            Some(prefix) => Some(prices.missed_cache(prefix.sent_again())?),
            None => None,
        };
        Ok(Explanation {
            model,
            report: context.report,
            prompt: context.prompt,
            input_bound: prepared.input_bound,
            quote,
            section_costs,
            broken_prefix_cost,
        })
    }
}

/// What input costs on one model at one time.
struct Prices<'a> {
    inner: &'a Inner,
    model: &'a ModelRef,
    at: Timestamp,
}

impl Prices<'_> {
    fn uncached(&self, tokens: Tokens) -> Result<Money> {
        self.cost(&Usage { input_uncached: tokens, ..Usage::default() })
    }

    /// The price of input above that of a cache read; zero where a cache read costs as much.
    fn missed_cache(&self, tokens: Tokens) -> Result<Money> {
        let read = self.cost(&Usage { cache_read: tokens, ..Usage::default() })?;
        let paid = self.uncached(tokens)?;
        Ok(paid.minus(read).unwrap_or(Money::ZERO).max(Money::ZERO))
    }

    fn cost(&self, usage: &Usage) -> Result<Money> {
        Ok(self.inner.recorder.cost(self.model, self.at, usage)?.amount)
    }
}
