//! `chat prices`: the price book in effect.

use chat_runtime::types::Price;
use serde_json::json;

use crate::app::App;
use crate::errors::{Exit, Failure};
use crate::render::{Table, moment};

/// All entries, overrides first; only those whose model holds `filter`.
pub(crate) fn run(app: &App<'_>, filter: Option<&str>) -> Result<Exit, Failure> {
    let prices = app.client().usage().prices();
    let mut table =
        Table::new(["model", "from (UTC)", "in $/M", "cached", "out", "reasoning", "version"])
            .right_aligned(&[2, 3, 4, 5]);
    let entries = prices
        .entries()
        .filter(|entry| filter.is_none_or(|filter| entry.pattern().contains(filter)));
    for entry in entries {
        let prices = entry.prices();
        if app.settings.json {
            app.output.line(json!({
                "model": entry.pattern(),
                "valid_from": entry.valid_from(),
                "version": entry.version(),
                "input_pico_usd_per_token": prices.input,
                "cache_read_pico_usd_per_token": prices.cache_read,
                "cache_write_pico_usd_per_token": prices.cache_write,
                "output_pico_usd_per_token": prices.output,
                "reasoning_pico_usd_per_token": prices.reasoning,
                "fee_nano_usd": entry.fee(),
            }));
            continue;
        }
        table.row([
            entry.pattern().to_owned(),
            moment(entry.valid_from()),
            per_million(prices.input),
            per_million(prices.cache_read),
            per_million(prices.output),
            per_million(prices.reasoning),
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
