//! What a step is billed, however it ended.
//!
//! The provider's own numbers win once it said that it was done, its own cost before the price book
//! (`reported`). Without them an attempt that may have been charged is billed
//! its estimated input and the counted output that was seen, and says so (`estimated`). An attempt
//! that surely cost nothing has no amount.

use chat_persist::{AttemptAmount, StepRecord};
use chat_provider::check_reported_cost;
use chat_tokens::TokenCounter;
use chat_types::{
    AttemptKey, ContentPart, ConversationId, ModelRef, Money, Purpose, StepKey, Timestamp, Tokens,
    Usage, UsageSource,
};
use chat_usage::{CallShape, HELD, REPORTED, SettledStep, UsageRecorder, UsageRow};

/// What is known of one attempt at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptEnd {
    pub(crate) attempt: u32,
    /// The provider's last usage snapshot.
    pub(crate) reported: Option<Usage>,
    /// What the provider says that it costs.
    pub(crate) cost: Option<Money>,
    /// The service tier that the provider says it used; none is the standard one.
    pub(crate) tier: Option<String>,
    /// The model said that it was done, so the snapshot is its last word.
    pub(crate) is_whole: bool,
    /// What the provider surely produced, counted by us.
    pub(crate) output_seen: Usage,
    pub(crate) provider_request_id: Option<String>,
}

/// Prices the attempts of one step.
#[derive(Clone, Debug)]
pub(crate) struct StepBill<'a> {
    pub(crate) recorder: &'a UsageRecorder,
    pub(crate) model: &'a ModelRef,
    pub(crate) opened_at: Timestamp,
    pub(crate) input_estimate: Tokens,
    /// The service tier it asked for: that of an attempt of which nothing was heard.
    pub(crate) tier: Option<&'a str>,
    /// Billed if a price cannot be worked out: what was held.
    pub(crate) fallback: Money,
}

impl StepBill<'_> {
    /// The amount of an attempt whose call was answered, at least in part, or may have been.
    pub(crate) fn amount(&self, end: &AttemptEnd) -> AttemptAmount {
        let (usage, source) = match end.reported {
            Some(reported) if end.is_whole => (reported, UsageSource::Provider),
            // What came after an early snapshot is owed too.
            Some(reported) => {
                let seen = end.output_seen;
                let usage = Usage {
                    output: reported.output.max(seen.output),
                    reasoning: reported.reasoning.max(seen.reasoning),
                    ..reported
                };
                (usage, UsageSource::Estimated)
            }
            None => {
                let input = Usage { input_uncached: self.input_estimate, ..Usage::default() };
                (input.plus(&end.output_seen), UsageSource::Estimated)
            }
        };
        let (amount, price_version, source) = match self.reported(end) {
            Some(cost) => (cost, REPORTED.to_owned(), UsageSource::Provider),
            None => {
                let (amount, price_version) = self.by_the_book(&usage, end.tier.as_deref());
                (amount, price_version, source)
            }
        };
        AttemptAmount {
            attempt: end.attempt,
            usage,
            source,
            amount,
            price_version,
            provider_request_id: end.provider_request_id.clone(),
        }
    }

    /// The provider's own cost, if it is its last word and can be charged.
    fn reported(&self, end: &AttemptEnd) -> Option<Money> {
        let cost = end.cost.filter(|_| end.is_whole)?;
        match check_reported_cost(cost) {
            Ok(cost) => Some(cost),
            Err(error) => {
                tracing::warn!(model = %self.model, %error, "a reported cost is ignored");
                None
            }
        }
    }

    fn by_the_book(&self, usage: &Usage, tier: Option<&str>) -> (Money, String) {
        let mut shape = CallShape::standard();
        shape.tier = tier.map(str::to_owned);
        match self.recorder.cost_of(self.model, self.opened_at, usage, &shape) {
            Ok(cost) => (cost.amount, cost.price_version),
            Err(error) => {
                tracing::error!(model = %self.model, code = error.code(), "a step is billed its hold");
                (self.fallback, HELD.to_owned())
            }
        }
    }

    /// The amount of an earlier attempt that was never answered: its input may be charged.
    pub(crate) fn unanswered(&self, attempt: u32) -> AttemptAmount {
        self.amount(&AttemptEnd {
            attempt,
            reported: None,
            cost: None,
            tier: self.tier.map(str::to_owned),
            is_whole: false,
            output_seen: Usage::default(),
            provider_request_id: None,
        })
    }
}

/// All attempts of all steps together.
pub(crate) fn total<'a>(amounts: impl IntoIterator<Item = &'a AttemptAmount>) -> (Usage, Money) {
    let mut usage = Usage::default();
    let mut money = Money::ZERO;
    for amount in amounts {
        usage = usage.plus(&amount.usage);
        money = money.plus(amount.amount).unwrap_or(Money::MAX);
    }
    (usage, money)
}

/// What a provider surely produced: the parts of the reply less those it started with, counted.
pub(crate) fn output_seen(
    counter: &dyn TokenCounter,
    parts: &[ContentPart],
    kept: &[ContentPart],
) -> Usage {
    let count = |parts: &[ContentPart]| {
        let mut usage = Usage::default();
        for part in parts {
            match part {
                ContentPart::Text { text } => {
                    usage.output = usage.output.plus(counter.count_text(text));
                }
                ContentPart::Reasoning { text, .. } => {
                    usage.reasoning = usage.reasoning.plus(counter.count_text(text));
                }
                ContentPart::ToolCall { name, arguments, .. } => {
                    let call = counter.count_text(name).plus(counter.count_text(arguments));
                    usage.output = usage.output.plus(call);
                }
                _ => {}
            }
        }
        usage
    };
    let (all, before) = (count(parts), count(kept));
    Usage {
        output: all.output.minus(before.output),
        reasoning: all.reasoning.minus(before.reasoning),
        ..Usage::default()
    }
}

/// A step whose amounts are durable in the journal.
#[derive(Clone, Debug)]
pub(crate) struct ClosedStep<'a> {
    pub(crate) key: StepKey,
    pub(crate) purpose: Purpose,
    pub(crate) model: &'a ModelRef,
    pub(crate) amounts: &'a [AttemptAmount],
}

impl<'a> ClosedStep<'a> {
    /// A step as the journal has it.
    pub(crate) fn of(record: &'a StepRecord) -> Self {
        Self {
            key: record.key.clone(),
            purpose: record.purpose,
            model: &record.model,
            amounts: &record.amounts,
        }
    }

    /// What the ledger and the usage rows get: the same rows whenever and wherever it is redone.
    pub(crate) fn to_settled(&self, conversation: &ConversationId, at: Timestamp) -> SettledStep {
        let rows = self.amounts.iter().map(|amount| UsageRow {
            key: AttemptKey { step: self.key.clone(), attempt: amount.attempt },
            conversation: conversation.clone(),
            purpose: self.purpose,
            model: self.model.clone(),
            usage: amount.usage,
            source: amount.source,
            amount: amount.amount,
            price_version: amount.price_version.clone(),
            provider_request_id: amount.provider_request_id.clone(),
            at,
        });
        SettledStep {
            key: self.key.clone(),
            conversation: conversation.clone(),
            rows: rows.collect(),
            at,
        }
    }
}
