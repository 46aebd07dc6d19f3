//! `PriceBook`: which price applies to a model at a moment.
//!
//! A book is read from TOML and checked as a whole; one wrong price refuses the book. A model
//! without a price has none: nothing here guesses, and free of charge must be said.
//! Not here: what a call costs (`price`).

use std::collections::BTreeSet;

use chat_types::{ModelRef, Money, Price, Timestamp, Tokens};
use serde::Deserialize;
use toml::value::Datetime;

use crate::decimal::scaled;
use crate::{LongContext, PriceEntry, PriceSet, Result, UsageError};

/// Pico-USD per token are millionths of USD per million tokens.
const PRICE_PLACES: u32 = 6;
/// Nano-USD.
const FEE_PLACES: u32 = 9;
/// A public table of all providers has some thousand models; a book above this is no book.
const ENTRIES_MAX: usize = 20_000;

/// Dated prices, checked when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBook {
    /// Books in the order they are asked. A lookup reads them whole: once a call, a few entries.
    layers: Vec<Vec<PriceEntry>>,
}

impl PriceBook {
    /// A book without any price: every call is refused.
    #[must_use]
    pub fn empty() -> Self {
        Self { layers: Vec::new() }
    }

    /// Reads a book; see the crate's README for the format.
    ///
    /// # Errors
    /// `InvalidPriceBook` naming the line or the model: unknown keys, a price that is absent,
    /// negative or not a decimal text, a pattern or date that is none, a pattern twice at one date.
    pub fn from_toml(text: &str) -> Result<Self> {
        let file: BookFile = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if file.prices.len() > ENTRIES_MAX {
            return Err(invalid(format!("it has more than {ENTRIES_MAX} prices")));
        }
        if file.book.is_empty() || file.book.contains(|c: char| !c.is_ascii_graphic() || c == ':') {
            return Err(invalid("`book` must be visible ASCII characters without ':'"));
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(file.prices.len());
        for row in &file.prices {
            let entry = entry_of(&file.book, row)
                .map_err(|detail| invalid(format!("{}: {detail}", row.model)))?;
            if !seen.insert(entry.version.clone()) {
                return Err(invalid(format!("{}: two prices from the same date", row.model)));
            }
            entries.push(entry);
        }
        Ok(Self { layers: vec![entries] })
    }

    /// The prices this crate ships with; their source, date and licence are in `prices.toml`.
    ///
    /// # Errors
    /// `InvalidPriceBook` never happens for the file as tested.
    pub fn shipped() -> Result<Self> {
        Self::from_toml(include_str!("../prices.toml"))
    }

    /// A book that asks `overrides` first and this one for what is not in there.
    #[must_use]
    pub fn with_overrides(self, overrides: Self) -> Self {
        let layers = overrides.layers.into_iter().chain(self.layers).collect();
        Self { layers }
    }

    /// The prices of a model at a moment: the first layer that has one; in it the exact name before
    /// the longest prefix, then the newest date. `None` if nobody has said what it costs.
    #[must_use]
    pub fn lookup(&self, model: &ModelRef, at: Timestamp) -> Option<&PriceEntry> {
        self.layers.iter().find_map(|layer| {
            layer
                .iter()
                .filter(|entry| entry.valid_from <= at)
                .filter_map(|entry| Some(((entry.rank_for(model)?, entry.valid_from), entry)))
                .max_by_key(|(rank, _)| *rank)
                .map(|(_, entry)| entry)
        })
    }

    /// The entry a usage row names, so that an old row can be worked out again.
    #[must_use]
    pub fn by_version(&self, version: &str) -> Option<&PriceEntry> {
        self.entries().find(|entry| entry.version == version)
    }

    /// All entries, overrides first.
    pub fn entries(&self) -> impl Iterator<Item = &PriceEntry> {
        self.layers.iter().flatten()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookFile {
    book: String,
    #[serde(default, rename = "source")]
    _source: Option<String>,
    #[serde(default, rename = "licence")]
    _licence: Option<String>,
    #[serde(default, rename = "price")]
    prices: Vec<PriceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRow {
    model: String,
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

fn entry_of(book: &str, row: &PriceRow) -> Result<PriceEntry, String> {
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

fn invalid(detail: impl Into<String>) -> UsageError {
    UsageError::InvalidPriceBook { detail: detail.into() }
}
