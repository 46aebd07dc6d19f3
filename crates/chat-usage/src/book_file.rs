//! How a book is written: TOML with decimal texts, into entries.
//!
//! Unknown keys are refused, and what is wrong is said with the key it is wrong in.
//! Not here: which entry applies (`book`).

use chat_types::{ModelRef, Money, Price, Timestamp, Tokens};
use serde::Deserialize;
use toml::value::Datetime;

use crate::decimal::scaled;
use crate::{LongContext, PriceEntry, PriceSet};

/// Pico-USD per token are millionths of USD per million tokens.
const PRICE_PLACES: u32 = 6;
/// Nano-USD.
const FEE_PLACES: u32 = 9;
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookFile {
    pub(crate) book: String,
    #[serde(default, rename = "source")]
    _source: Option<String>,
    #[serde(default, rename = "licence")]
    _licence: Option<String>,
    #[serde(default, rename = "price")]
    pub(crate) prices: Vec<PriceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceRow {
    pub(crate) model: String,
    valid_from: Datetime,
    input: String,
    output: String,
    cache_read: Option<String>,
    cache_write: Option<String>,
    reasoning: Option<String>,
    fee: Option<String>,
    long: Option<LongRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongRow {
    above: u64,
    input: String,
    output: String,
    cache_read: Option<String>,
    cache_write: Option<String>,
    reasoning: Option<String>,
}

/// Reads one row.
///
/// # Errors
/// What is wrong with it, after the name of the key.
pub(crate) fn entry_of(book: &str, row: &PriceRow) -> Result<PriceEntry, String> {
    let concrete = row.model.strip_suffix('*').unwrap_or(&row.model);
    // A prefix may be empty (`local/*`); one letter more makes it a name that can be checked.
    let probe =
        if concrete.len() < row.model.len() { format!("{concrete}x") } else { concrete.to_owned() };
    if concrete.contains('*') || probe.parse::<ModelRef>().is_err() {
        return Err("write the model as provider/model or provider/prefix*".to_owned());
    }
    let (date, valid_from) = midnight_utc(&row.valid_from)?;
    let fee = match &row.fee {
        Some(text) => scaled(text, FEE_PLACES)
            .and_then(|nano| i64::try_from(nano).map_err(|_| format!("{text:?} is too large")))
            .map_err(|detail| format!("fee: {detail}"))?,
        None => 0,
    };
    let long = match &row.long {
        Some(long) => Some(LongContext {
            above: Tokens::new(long.above),
            prices: set_of([
                ("long.input", Some(&long.input)),
                ("long.cache_read", long.cache_read.as_ref()),
                ("long.cache_write", long.cache_write.as_ref()),
                ("long.output", Some(&long.output)),
                ("long.reasoning", long.reasoning.as_ref()),
            ])?,
        }),
        None => None,
    };
    Ok(PriceEntry {
        pattern: row.model.clone(),
        valid_from,
        version: format!("{book}:{}@{date}", row.model),
        prices: set_of([
            ("input", Some(&row.input)),
            ("cache_read", row.cache_read.as_ref()),
            ("cache_write", row.cache_write.as_ref()),
            ("output", Some(&row.output)),
            ("reasoning", row.reasoning.as_ref()),
        ])?,
        long,
        fee: Money::from_nano_usd(fee),
    })
}

/// Input, cache read, cache write, output, reasoning; what is absent costs what it is part of.
fn set_of(texts: [(&str, Option<&String>); 5]) -> Result<PriceSet, String> {
    let read = |(name, text): (&str, Option<&String>)| {
        text.map(|text| scaled(text, PRICE_PLACES))
            .transpose()
            .map(|pico| pico.map(Price::from_pico_usd_per_token))
            .map_err(|detail| format!("{name}: {detail}"))
    };
    let [input, cache_read, cache_write, output, reasoning] = texts;
    let absent = |name: &str| format!("{name}: is absent");
    let input = read(input)?.ok_or_else(|| absent(input.0))?;
    let output = read(output)?.ok_or_else(|| absent(output.0))?;
    Ok(PriceSet {
        input,
        cache_read: read(cache_read)?.unwrap_or(input),
        cache_write: read(cache_write)?.unwrap_or(input),
        output,
        reasoning: read(reasoning)?.unwrap_or(output),
    })
}

/// The date as it is written and its first moment in UTC.
fn midnight_utc(date: &Datetime) -> Result<(String, Timestamp), String> {
    let wrong = || format!("valid_from: {date} is no plain date such as 2026-01-31");
    let (Some(day), None, None) = (date.date, date.time, date.offset) else {
        return Err(wrong());
    };
    // Days since 1970-01-01 of a Gregorian date, counting years from March.
    let (month, dom) = (i64::from(day.month), i64::from(day.day));
    let year = i64::from(day.year) - i64::from(month <= 2);
    let year_day = (153 * ((month + 9) % 12) + 2) / 5 + dom - 1;
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + year_day
            - 719_468;
    Ok((day.to_string(), Timestamp::from_unix_ms(days * 86_400_000)))
}
