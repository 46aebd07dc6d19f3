//! `chat prices`: the price book in effect, what applies to a model, and whether a book is sound.

use std::collections::BTreeSet;
use std::path::Path;

use chat_runtime::types::{ModelRef, Price, Timestamp, Tokens};
use chat_runtime::usage::{LongContext, PriceBook, PriceEntry, PriceSet, PriceTier, UsageError};
use serde_json::json;

use crate::app::{App, now};
use crate::arguments::Prices;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::render::{Table, day, moment};
use crate::settings::Settings;

/// What the prices without a tier are called.
const STANDARD: &str = "standard";

/// Lists, unless something else was asked for.
pub(crate) fn run(app: &App<'_>, command: Option<&Prices>) -> Result<Exit, Failure> {
    match command {
        None => list(app, None),
        Some(Prices::List { filter }) => list(app, filter.as_deref()),
        Some(Prices::Show { name, at }) => show(app, name, at.unwrap_or_else(now)),
        Some(Prices::Check { file }) => check(file, app.settings, app.output),
    }
}

/// All entries, overrides first; only those whose model holds `filter`.
fn list(app: &App<'_>, filter: Option<&str>) -> Result<Exit, Failure> {
    let prices = app.client().usage().prices();
    let heading =
        ["model", "from (UTC)", "in $/M", "cached", "out", "reasoning", "tiers", "version"];
    let mut table = Table::new(heading).right_aligned(&[2, 3, 4, 5]);
    let entries = prices
        .entries()
        .filter(|entry| filter.is_none_or(|filter| entry.pattern().contains(filter)));
    for entry in entries {
        if app.settings.json {
            app.output.line(entry_json(entry));
            continue;
        }
        let prices = entry.prices();
        let tiers: Vec<&str> = entry.tiers().iter().map(PriceTier::name).collect();
        table.row([
            entry.pattern().to_owned(),
            moment(entry.valid_from()),
            per_million(prices.input),
            per_million(prices.cache_read),
            per_million(prices.output),
            per_million(prices.reasoning),
            tiers.join(" "),
            entry.version().to_owned(),
        ]);
    }
    if !app.settings.json {
        for line in table.lines() {
            app.output.line(line);
        }
    }
    Ok(Exit::Ok)
}

/// Everything the entry says that applies to a model at a moment.
///
/// # Errors
/// `unknown_price`; `unknown_model` for a name without a provider that no alias has.
fn show(app: &App<'_>, name: &str, at: Timestamp) -> Result<Exit, Failure> {
    let model: ModelRef = match name.parse() {
        Ok(model) => model,
        Err(_) => app.client().providers().resolve(name)?,
    };
    let prices = app.client().usage().prices();
    let Some(entry) = prices.lookup(&model, at) else {
        return Err(Failure::from(UsageError::UnknownPrice { model }));
    };
    let book = prices.books().find(|book| book.name == entry.book());
    let source = book.and_then(|book| book.source.as_deref());
    let licence = book.and_then(|book| book.licence.as_deref());
    if app.settings.json {
        let mut shown = entry_json(entry);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("asked".to_owned(), json!(model.to_string()));
            shown.insert("book".to_owned(), json!(entry.book()));
            shown.insert("source".to_owned(), json!(source));
            shown.insert("licence".to_owned(), json!(licence));
        }
        app.output.line(shown);
        return Ok(Exit::Ok);
    }
    let from = day(entry.valid_from());
    app.output.line(format_args!("{model} by {}, from {from} (UTC) on", entry.pattern()));
    let said: Vec<&str> = [source, licence].into_iter().flatten().collect();
    app.output.line(format_args!("book {} ({})", entry.book(), said.join("; ")));
    let heading =
        ["tier", "input above", "in $/M", "cached", "written", "out", "reasoning", "version"];
    let mut table = Table::new(heading).right_aligned(&[1, 2, 3, 4, 5, 6]);
    let mut add = |tier: &str, version: &str, prices: &PriceSet, long: Option<&LongContext>| {
        table.row(cells(tier, Tokens::ZERO, prices, version));
        if let Some(long) = long {
            table.row(cells(tier, long.above, &long.prices, version));
        }
    };
    add(STANDARD, entry.version(), entry.prices(), entry.long());
    for tier in entry.tiers() {
        add(tier.name(), tier.version(), tier.prices(), tier.long());
    }
    for line in table.lines() {
        app.output.line(line);
    }
    app.output.line(format_args!("{} a request, {} an image", entry.fee(), entry.image()));
    Ok(Exit::Ok)
}

/// Reads a book as the runtime would, and says what it holds.
///
/// # Errors
/// `file_unreadable`; `invalid_price_book` with the place and what is wrong there.
pub(crate) fn check(file: &Path, settings: &Settings, output: &Output) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error))?;
    let book = PriceBook::from_toml(&text)
        .map_err(|error| Failure::new(error.code(), format!("{}: {error}", file.display())))?;
    let entries = book.entries().count();
    let models: BTreeSet<&str> = book.entries().map(PriceEntry::pattern).collect();
    let tiers: BTreeSet<&str> =
        book.entries().flat_map(PriceEntry::tiers).map(PriceTier::name).collect();
    let newest = book.entries().map(PriceEntry::valid_from).max();
    let info = book.books().next();
    let name = info.map_or("", |info| info.name.as_str());
    if settings.json {
        output.line(json!({
            "book": name,
            "source": info.and_then(|info| info.source.as_deref()),
            "licence": info.and_then(|info| info.licence.as_deref()),
            "entries": entries,
            "models": models.len(),
            "tiers": tiers,
            "newest": newest.map(day),
        }));
        return Ok(Exit::Ok);
    }
    let newest = newest.map_or("none".to_owned(), day);
    output.line(format_args!(
        "book {name} is sound: {entries} entries, {} models, the newest from {newest}",
        models.len()
    ));
    if !tiers.is_empty() {
        let tiers: Vec<&str> = tiers.into_iter().collect();
        output.line(format_args!("tiers: {}", tiers.join(", ")));
    }
    Ok(Exit::Ok)
}

fn cells(tier: &str, above: Tokens, prices: &PriceSet, version: &str) -> [String; 8] {
    [
        tier.to_owned(),
        above.to_string(),
        per_million(prices.input),
        per_million(prices.cache_read),
        per_million(prices.cache_write),
        per_million(prices.output),
        per_million(prices.reasoning),
        version.to_owned(),
    ]
}

fn entry_json(entry: &PriceEntry) -> serde_json::Value {
    let tiers = entry.tiers().iter().map(|tier| {
        let mut json = set_json(tier.prices());
        json.insert("tier".to_owned(), json!(tier.name()));
        json.insert("version".to_owned(), json!(tier.version()));
        json.insert("long".to_owned(), json!(tier.long().map(long_json)));
        json
    });
    let tiers: Vec<_> = tiers.collect();
    let mut json = set_json(entry.prices());
    for (key, value) in [
        ("model", json!(entry.pattern())),
        ("valid_from", json!(entry.valid_from())),
        ("version", json!(entry.version())),
        ("long", json!(entry.long().map(long_json))),
        ("tiers", json!(tiers)),
        ("fee_nano_usd", json!(entry.fee())),
        ("image_nano_usd", json!(entry.image())),
    ] {
        json.insert(key.to_owned(), value);
    }
    json.into()
}

fn long_json(long: &LongContext) -> serde_json::Map<String, serde_json::Value> {
    let mut json = set_json(&long.prices);
    json.insert("above_tokens".to_owned(), json!(long.above));
    json
}

fn set_json(prices: &PriceSet) -> serde_json::Map<String, serde_json::Value> {
    let named = [
        ("input_pico_usd_per_token", prices.input),
        ("cache_read_pico_usd_per_token", prices.cache_read),
        ("cache_write_pico_usd_per_token", prices.cache_write),
        ("output_pico_usd_per_token", prices.output),
        ("reasoning_pico_usd_per_token", prices.reasoning),
    ];
    named.into_iter().map(|(name, price)| (name.to_owned(), json!(price))).collect()
}

/// US dollars per million tokens, exactly, at least two decimals.
pub(crate) fn per_million(price: Price) -> String {
    let pico = price.pico_usd_per_token();
    let (whole, fraction) = (pico / 1_000_000, pico % 1_000_000);
    let digits = format!("{fraction:06}");
    let significant = digits.trim_end_matches('0').len().max(2);
    let shown: String = digits.chars().take(significant).collect();
    format!("{whole}.{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_shown_exactly() {
        for (pico, shown) in
            [(0, "0.00"), (150_000, "0.15"), (2_500_000, "2.50"), (75_001, "0.075001")]
        {
            assert_eq!(per_million(Price::from_pico_usd_per_token(pico)), shown);
        }
    }
}
