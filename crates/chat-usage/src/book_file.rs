//! How a book is written: TOML with decimal texts, into entries.
//!
//! Unknown keys are refused, and what is wrong is said with the key it is wrong in.
//! Not here: which entry applies (`book`).

use std::collections::BTreeMap;

use chat_types::{ModelRef, Money, Price, Timestamp, Tokens};
use serde::Deserialize;
use toml::value::Datetime;

use crate::decimal::scaled;
use crate::price::is_tier_name;
use crate::{LongContext, PriceEntry, PriceSet, PriceTier};

/// Pico-USD per token are millionths of USD per million tokens.
const PRICE_PLACES: u32 = 6;
/// Nano-USD.
const AMOUNT_PLACES: u32 = 9;
/// What providers call the tier that needs no name.
const STANDARD_NAMES: [&str; 3] = ["auto", "default", "standard"];
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookFile {
    pub(crate) book: String,
    pub(crate) source: Option<String>,
    pub(crate) licence: Option<String>,
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
    image: Option<String>,
    long: Option<LongRow>,
    #[serde(default)]
    tier: BTreeMap<String, TierRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    input: String,
    output: String,
    cache_read: Option<String>,
    cache_write: Option<String>,
    reasoning: Option<String>,
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
    let version = format!("{book}:{}@{date}", row.model);
    Ok(PriceEntry {
        pattern: row.model.clone(),
        valid_from,
        prices: set_of(
            "",
            [&row.input, &row.output],
            [&row.cache_read, &row.cache_write, &row.reasoning],
        )?,
        long: long_of("", row.long.as_ref())?,
        tiers: tiers_of(&version, &row.tier)?,
        fee: amount_of("fee", row.fee.as_ref())?,
        image: amount_of("image", row.image.as_ref())?,
        version,
    })
}

fn tiers_of(version: &str, rows: &BTreeMap<String, TierRow>) -> Result<Vec<PriceTier>, String> {
    let tiers = rows.iter().map(|(name, row)| {
        if !is_tier_name(name) {
            return Err(format!("tier.{name}: a tier is 1 to 32 of a-z, 0-9, '-' and '_'"));
        }
        if STANDARD_NAMES.contains(&name.as_str()) {
            return Err(format!("tier.{name}: write the standard prices without a tier"));
        }
        let at = format!("tier.{name}.");
        Ok(PriceTier {
            name: name.clone(),
            version: format!("{version}#{name}"),
            prices: set_of(
                &at,
                [&row.input, &row.output],
                [&row.cache_read, &row.cache_write, &row.reasoning],
            )?,
            long: long_of(&at, row.long.as_ref())?,
        })
    });
    tiers.collect()
}

fn long_of(at: &str, row: Option<&LongRow>) -> Result<Option<LongContext>, String> {
    row.map(|row| {
        let prices = set_of(
            &format!("{at}long."),
            [&row.input, &row.output],
            [&row.cache_read, &row.cache_write, &row.reasoning],
        )?;
        Ok(LongContext { above: Tokens::new(row.above), prices })
    })
    .transpose()
}

/// US dollars; nothing where nothing is written.
fn amount_of(name: &str, text: Option<&String>) -> Result<Money, String> {
    let Some(text) = text else {
        return Ok(Money::ZERO);
    };
    scaled(text, AMOUNT_PLACES)
        .and_then(|nano| i64::try_from(nano).map_err(|_| format!("{text:?} is too large")))
        .map(Money::from_nano_usd)
        .map_err(|detail| format!("{name}: {detail}"))
}

/// Input and output; cache read, cache write and reasoning: what is absent costs what it is part of.
fn set_of(
    at: &str,
    [input, output]: [&String; 2],
    [cache_read, cache_write, reasoning]: [&Option<String>; 3],
) -> Result<PriceSet, String> {
    let read = |name: &str, text: &String| {
        scaled(text, PRICE_PLACES)
            .map(Price::from_pico_usd_per_token)
            .map_err(|detail| format!("{at}{name}: {detail}"))
    };
    let or = |name: &str, text: &Option<String>, whole: Price| {
        text.as_ref().map_or(Ok(whole), |text| read(name, text))
    };
    let (input, output) = (read("input", input)?, read("output", output)?);
    Ok(PriceSet {
        input,
        cache_read: or("cache_read", cache_read, input)?,
        cache_write: or("cache_write", cache_write, input)?,
        output,
        reasoning: or("reasoning", reasoning, output)?,
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
