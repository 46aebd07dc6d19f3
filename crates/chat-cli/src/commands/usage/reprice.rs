//! `chat usage reprice --dry-run`: the calls of the past at the prices of the book in effect.
//!
//! It only says what would have been charged; nothing is written, ever. A call keeps the tier it was
//! charged for and is priced at the moment of its row. What cannot be worked out again keeps its
//! amount, counted by reason: `held` (charged its hold), `reported` (the provider's own cost),
//! `imported` (another program's), `no_price` and `too_large`.

use std::collections::BTreeMap;

use chat_runtime::Money;
use chat_runtime::types::UsageSource;
use chat_runtime::usage::{CallShape, HELD, PriceBook, REPORTED, UsageRow, cost_of, tier_of};
use serde_json::json;

use super::{Selection, each_row, plus};
use crate::app::App;
use crate::arguments::Reprice;
use crate::errors::{Exit, Failure};
use crate::render::Table;

/// The calls of one model.
#[derive(Debug, Default)]
struct Repriced {
    rows: u64,
    recorded: Money,
    repriced: Money,
    /// Rows that keep their amount, by reason.
    kept: BTreeMap<&'static str, u64>,
    kept_amount: Money,
}

impl Repriced {
    fn difference(&self) -> Result<Money, Failure> {
        let difference = self.repriced.minus(self.recorded);
        difference.map_err(|error| Failure::new("invalid_amount", error.to_string()))
    }

    fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.rows = self.rows.saturating_add(other.rows);
        self.recorded = plus(self.recorded, other.recorded)?;
        self.repriced = plus(self.repriced, other.repriced)?;
        self.kept_amount = plus(self.kept_amount, other.kept_amount)?;
        for (reason, rows) in &other.kept {
            let all = self.kept.entry(reason).or_default();
            *all = all.saturating_add(*rows);
        }
        Ok(())
    }

    /// `3 (2 held, 1 reported)`.
    fn kept(&self) -> String {
        let all = self.kept.values().fold(0_u64, |all, rows| all.saturating_add(*rows));
        if all == 0 {
            return "0".to_owned();
        }
        let named: Vec<String> =
            self.kept.iter().map(|(reason, rows)| format!("{rows} {reason}")).collect();
        format!("{all} ({})", named.join(", "))
    }
}

/// Shows, model by model, what was charged and what the book in effect would make of it.
///
/// # Errors
/// `past_is_final` without `--dry-run`; the store's.
pub(crate) async fn run(app: &App<'_>, reprice: &Reprice) -> Result<Exit, Failure> {
    if !reprice.dry_run {
        let cause = "the past is never rewritten: what was charged stays charged";
        return Err(Failure::new("past_is_final", cause));
    }
    let prices = app.client().usage().prices();
    let mut models: BTreeMap<String, Repriced> = BTreeMap::new();
    each_row(app, &Selection::of(&reprice.range), |_, row| {
        let model = models.entry(row.model.to_string()).or_default();
        match amount_of(prices, row) {
            Ok(amount) => {
                model.rows = model.rows.saturating_add(1);
                model.recorded = plus(model.recorded, row.amount)?;
                model.repriced = plus(model.repriced, amount)?;
            }
            Err(reason) => {
                let rows = model.kept.entry(reason).or_default();
                *rows = rows.saturating_add(1);
                model.kept_amount = plus(model.kept_amount, row.amount)?;
            }
        }
        Ok(())
    })
    .await?;
    if app.settings.json {
        for (name, model) in &models {
            app.output.line(json!({
                "model": name,
                "rows": model.rows,
                "recorded_nano_usd": model.recorded,
                "repriced_nano_usd": model.repriced,
                "difference_nano_usd": model.difference()?,
                "kept_rows": model.kept,
                "kept_nano_usd": model.kept_amount,
            }));
        }
        return Ok(Exit::Ok);
    }
    print(app, &models)
}

/// What a row would have cost, or why nobody can say.
fn amount_of(prices: &PriceBook, row: &UsageRow) -> Result<Money, &'static str> {
    match row.price_version.as_str() {
        HELD => return Err("held"),
        REPORTED => return Err("reported"),
        _ if row.source == UsageSource::Imported => return Err("imported"),
        _ => {}
    }
    let entry = prices.lookup(&row.model, row.at).ok_or("no_price")?;
    let mut shape = CallShape::standard();
    shape.tier = tier_of(&row.price_version).map(str::to_owned);
    cost_of(entry, &row.usage, &shape).map_err(|_| "too_large")
}

fn print(app: &App<'_>, models: &BTreeMap<String, Repriced>) -> Result<Exit, Failure> {
    let heading = ["model", "calls", "charged", "by the book", "difference", "cannot be repriced"];
    let mut table = Table::new(heading).right_aligned(&[1, 2, 3, 4]);
    let mut total = Repriced::default();
    for (name, model) in models {
        table.row(cells(name, model)?);
        total.add(model)?;
    }
    table.row(cells("total", &total)?);
    for line in table.lines() {
        app.output.line(line);
    }
    if !total.kept.is_empty() {
        let amount = total.kept_amount;
        app.output.note(format_args!("{} calls keep their {amount}", total.kept()));
    }
    let books: Vec<&str> = app.client().usage().prices().books().map(|b| b.name.as_str()).collect();
    app.output.note(format_args!("by {}; nothing was changed", books.join(", then ")));
    Ok(Exit::Ok)
}

fn cells(name: &str, model: &Repriced) -> Result<[String; 6], Failure> {
    Ok([
        name.to_owned(),
        model.rows.to_string(),
        model.recorded.to_string(),
        model.repriced.to_string(),
        model.difference()?.to_string(),
        model.kept(),
    ])
}
