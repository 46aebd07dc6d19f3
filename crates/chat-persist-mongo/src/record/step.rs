//! A step inside its turn's document, with the amounts it was closed with.

use chat_persist::{AttemptAmount, NewStep, StepRecord};
use chat_types::{Money, Purpose, StepKey, StepState, Tokens, TurnId, Usage, UsageSource};
use mongodb::bson::{Bson, DateTime};
use serde::{Deserialize, Serialize};

use super::plain::{date, document, int64, moment, named, parse, small, unsigned};
use crate::error::EngineResult;

/// One of `steps`, which are in the order of their numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StepDocument {
    pub(super) step: i64,
    purpose: String,
    model: String,
    state: String,
    attempts: i64,
    input_bound: i64,
    input_estimate: i64,
    opened_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// Since when the ledger owes it; only in state `settling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settling_since: Option<DateTime>,
    amounts: Vec<AmountDocument>,
}

/// One of a step's `amounts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AmountDocument {
    attempt: i64,
    input_uncached: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    reasoning: i64,
    source: String,
    nano_usd: i64,
    price_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<String>,
}

impl StepDocument {
    /// A step as it is first written.
    pub(crate) fn opened(step: &NewStep) -> EngineResult<Self> {
        let (state, attempts) =
            if step.dispatched { (StepState::Dispatched, 1) } else { (StepState::Held, 0) };
        Ok(Self {
            step: i64::from(step.step),
            purpose: step.purpose.as_str().to_owned(),
            model: step.model.to_string(),
            state: state.as_str().to_owned(),
            attempts,
            input_bound: int64(step.input_bound.get())?,
            input_estimate: int64(step.input_estimate.get())?,
            opened_at: date(step.opened_at),
            tier: step.tier.clone(),
            settling_since: None,
            amounts: Vec::new(),
        })
    }

    pub(super) fn of(step: &StepRecord, settling_since: Option<DateTime>) -> EngineResult<Self> {
        Ok(Self {
            step: i64::from(step.key.step),
            purpose: step.purpose.as_str().to_owned(),
            model: step.model.to_string(),
            state: step.state.as_str().to_owned(),
            attempts: i64::from(step.attempts),
            input_bound: int64(step.input_bound.get())?,
            input_estimate: int64(step.input_estimate.get())?,
            opened_at: date(step.opened_at),
            tier: step.tier.clone(),
            settling_since: settling_since.filter(|_| step.state == StepState::Settling),
            amounts: step.amounts.iter().map(AmountDocument::of).collect::<EngineResult<_>>()?,
        })
    }

    pub(crate) fn record(&self, turn: &TurnId) -> EngineResult<StepRecord> {
        Ok(StepRecord {
            key: StepKey { turn: turn.clone(), step: small(self.step)? },
            purpose: named(&self.purpose, Purpose::from_stored)?,
            model: parse(&self.model)?,
            state: self.state()?,
            attempts: self.attempts()?,
            input_bound: Tokens::new(unsigned(self.input_bound)?),
            input_estimate: Tokens::new(unsigned(self.input_estimate)?),
            opened_at: moment(self.opened_at),
            tier: self.tier.clone(),
            amounts: self.amounts()?,
        })
    }

    pub(crate) fn number(&self) -> EngineResult<u32> {
        small(self.step)
    }

    pub(crate) fn state(&self) -> EngineResult<StepState> {
        named(&self.state, StepState::from_stored)
    }

    pub(crate) fn attempts(&self) -> EngineResult<u32> {
        small(self.attempts)
    }

    pub(crate) fn amounts(&self) -> EngineResult<Vec<AttemptAmount>> {
        self.amounts.iter().map(AmountDocument::amount).collect()
    }

    /// Whether it was opened by this same call. Not its state: it may have moved on.
    pub(crate) fn is_opened_by(&self, step: &NewStep) -> EngineResult<bool> {
        let opened = Self::opened(step)?;
        Ok(self.purpose == opened.purpose
            && self.model == opened.model
            && self.input_bound == opened.input_bound
            && self.input_estimate == opened.input_estimate
            && self.opened_at == opened.opened_at
            && self.tier == opened.tier)
    }
}

impl AmountDocument {
    fn of(amount: &AttemptAmount) -> EngineResult<Self> {
        Ok(Self {
            attempt: i64::from(amount.attempt),
            input_uncached: int64(amount.usage.input_uncached.get())?,
            cache_read: int64(amount.usage.cache_read.get())?,
            cache_write: int64(amount.usage.cache_write.get())?,
            output: int64(amount.usage.output.get())?,
            reasoning: int64(amount.usage.reasoning.get())?,
            source: amount.source.as_str().to_owned(),
            nano_usd: amount.amount.nano_usd(),
            price_version: amount.price_version.clone(),
            provider_request_id: amount.provider_request_id.clone(),
        })
    }

    fn amount(&self) -> EngineResult<AttemptAmount> {
        let tokens = |number| unsigned(number).map(Tokens::new);
        Ok(AttemptAmount {
            attempt: small(self.attempt)?,
            usage: Usage {
                input_uncached: tokens(self.input_uncached)?,
                cache_read: tokens(self.cache_read)?,
                cache_write: tokens(self.cache_write)?,
                output: tokens(self.output)?,
                reasoning: tokens(self.reasoning)?,
            },
            source: named(&self.source, UsageSource::from_stored)?,
            amount: Money::from_nano_usd(self.nano_usd),
            price_version: self.price_version.clone(),
            provider_request_id: self.provider_request_id.clone(),
        })
    }
}

/// A step's `amounts`.
pub(crate) fn amounts_array(amounts: &[AttemptAmount]) -> EngineResult<Bson> {
    let amounts = amounts
        .iter()
        .map(|amount| Ok(Bson::Document(document(&AmountDocument::of(amount)?)?)))
        .collect::<EngineResult<Vec<Bson>>>()?;
    Ok(Bson::Array(amounts))
}
