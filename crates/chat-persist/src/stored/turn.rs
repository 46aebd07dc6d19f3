//! Turns and conversations: the columns `kind`, `failure`, `amounts` and `options`.

use std::borrow::Cow;

use chat_types::{
    MessageId, ModelOptions, Money, Tokens, TurnFailure, TurnKind, Usage, UsageSource,
};
use serde::{Deserialize, Serialize};

use super::message::{PartRecord, part_of, part_record};
use super::{Result, StoredError, decode, encode, parse};
use crate::AttemptAmount;

type Text<'a> = Cow<'a, str>;

/// One of `steps.amounts`.
#[derive(Debug, Serialize, Deserialize)]
struct AmountRecord<'a> {
    attempt: u32,
    input_uncached: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    source: Text<'a>,
    nano_usd: i64,
    price_version: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<Text<'a>>,
}

/// `turns.kind`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindRecord<'a> {
    New {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Text<'a>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<PartRecord<'a>>,
    },
    Edit {
        message: Text<'a>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<PartRecord<'a>>,
    },
    Regenerate {
        message: Text<'a>,
    },
    Continue {
        message: Text<'a>,
    },
    Compact {
        message: Text<'a>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        anew: bool,
    },
}

/// `turns.failure`.
#[derive(Debug, Serialize, Deserialize)]
struct FailureRecord<'a> {
    code: Text<'a>,
    message: Text<'a>,
    retryable: bool,
}

/// `conversations.options`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct OptionsRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_max: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Text<'a>>,
}

/// The column `amounts` of a step.
///
/// # Errors
/// `Corrupt` if they have no JSON form, which does not happen.
pub fn amounts_record(amounts: &[AttemptAmount]) -> Result<String> {
    let records: Vec<AmountRecord<'_>> = amounts
        .iter()
        .map(|amount| AmountRecord {
            attempt: amount.attempt,
            input_uncached: amount.usage.input_uncached.get(),
            cache_read: amount.usage.cache_read.get(),
            cache_write: amount.usage.cache_write.get(),
            output: amount.usage.output.get(),
            reasoning: amount.usage.reasoning.get(),
            source: amount.source.as_str().into(),
            nano_usd: amount.amount.nano_usd(),
            price_version: amount.price_version.as_str().into(),
            provider_request_id: amount.provider_request_id.as_deref().map(Into::into),
        })
        .collect();
    encode(&records)
}

/// Reads the column `amounts` of a step.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn amounts_of(text: &str) -> Result<Vec<AttemptAmount>> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    let records: Vec<AmountRecord<'static>> = decode(text)?;
    records
        .into_iter()
        .map(|record| {
            Ok(AttemptAmount {
                attempt: record.attempt,
                usage: Usage {
                    input_uncached: Tokens::new(record.input_uncached),
                    cache_read: Tokens::new(record.cache_read),
                    cache_write: Tokens::new(record.cache_write),
                    output: Tokens::new(record.output),
                    reasoning: Tokens::new(record.reasoning),
                },
                source: UsageSource::from_stored(&record.source)
                    .ok_or_else(|| StoredError::unknown_name("usage source", &record.source))?,
                amount: Money::from_nano_usd(record.nano_usd),
                price_version: record.price_version.into_owned(),
                provider_request_id: record.provider_request_id.map(Cow::into_owned),
            })
        })
        .collect()
}

/// The column `kind` of a turn.
///
/// # Errors
/// `Unsupported` for a part that has no stored form.
pub fn kind_record(kind: &TurnKind) -> Result<String> {
    let message = |id: &MessageId| Text::Owned(id.as_str().to_owned());
    encode(&match kind {
        TurnKind::New { parent, parts } => KindRecord::New {
            parent: parent.as_ref().map(message),
            parts: parts.iter().map(part_record).collect::<Result<_>>()?,
        },
        TurnKind::Edit { message: edited, parts } => KindRecord::Edit {
            message: message(edited),
            parts: parts.iter().map(part_record).collect::<Result<_>>()?,
        },
        TurnKind::Regenerate { message: reply } => {
            KindRecord::Regenerate { message: message(reply) }
        }
        TurnKind::Continue { message: reply } => KindRecord::Continue { message: message(reply) },
        TurnKind::Compact { message: newest, anew } => {
            KindRecord::Compact { message: message(newest), anew: *anew }
        }
    })
}

/// Reads the column `kind` of a turn.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn kind_of(text: &str) -> Result<TurnKind> {
    let parts_of = |parts: Vec<PartRecord<'static>>| {
        parts.into_iter().map(part_of).collect::<Result<Vec<_>>>()
    };
    Ok(match decode::<KindRecord<'static>>(text)? {
        KindRecord::New { parent, parts } => TurnKind::New {
            parent: parent.as_deref().map(parse).transpose()?,
            parts: parts_of(parts)?,
        },
        KindRecord::Edit { message, parts } => {
            TurnKind::Edit { message: parse(&message)?, parts: parts_of(parts)? }
        }
        KindRecord::Regenerate { message } => TurnKind::Regenerate { message: parse(&message)? },
        KindRecord::Continue { message } => TurnKind::Continue { message: parse(&message)? },
        KindRecord::Compact { message, anew } => {
            TurnKind::Compact { message: parse(&message)?, anew }
        }
    })
}

/// The column `failure` of a turn.
///
/// # Errors
/// `Corrupt` if it has no JSON form, which does not happen.
pub fn failure_record(failure: &TurnFailure) -> Result<String> {
    encode(&FailureRecord {
        code: failure.code.as_str().into(),
        message: failure.message.as_str().into(),
        retryable: failure.retryable,
    })
}

/// Reads the column `failure` of a turn.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn failure_of(text: &str) -> Result<TurnFailure> {
    let record: FailureRecord<'static> = decode(text)?;
    Ok(TurnFailure::new(record.code, record.message, record.retryable))
}

/// The column `options` of a conversation.
///
/// # Errors
/// `Corrupt` if a number has no JSON form.
pub fn options_record(options: &ModelOptions) -> Result<String> {
    encode(&OptionsRecord {
        temperature: options.temperature,
        top_p: options.top_p,
        output_tokens_max: options.output_tokens_max.map(Tokens::get),
        stop: options.stop.iter().map(|text| text.as_str().into()).collect(),
        seed: options.seed,
        reasoning_effort: options.reasoning_effort.as_deref().map(Into::into),
    })
}

/// Reads the column `options` of a conversation.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn options_of(text: &str) -> Result<ModelOptions> {
    if text == "{}" {
        return Ok(ModelOptions::default());
    }
    let record: OptionsRecord<'static> = decode(text)?;
    Ok(ModelOptions {
        temperature: record.temperature,
        top_p: record.top_p,
        output_tokens_max: record.output_tokens_max.map(Tokens::new),
        stop: record.stop.into_iter().map(Cow::into_owned).collect(),
        seed: record.seed,
        reasoning_effort: record.reasoning_effort.map(Cow::into_owned),
    })
}
