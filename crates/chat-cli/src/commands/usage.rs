//! `chat usage`: what was used and what it cost, one row per attempt that reached a model.
//!
//! Sums are exact: integers, checked, added up from the rows. Nothing here writes.
//! Not here: sums by group (`groups`), other prices for the same calls (`reprice`).

mod groups;
mod reprice;
mod rows;

use chat_runtime::types::UsageSource;
use chat_runtime::usage::UsageRow;
use chat_runtime::{ConversationId, Money, Scope};
use serde_json::json;

pub(crate) use rows::{Selection, Sum, each_row, plus};

use crate::app::App;
use crate::arguments::{Usage, UsageCommand};
use crate::errors::{Exit, Failure};
use crate::find;
use crate::render::{Table, csv_line, moment};

/// Rows shown; the rest is summed up.
const ROWS_SHOWN_MAX: usize = 1_000;

/// The rows and their sum, or the sums of groups.
pub(crate) async fn run(app: &App<'_>, usage: &Usage) -> Result<Exit, Failure> {
    if let Some(UsageCommand::Reprice(reprice)) = &usage.command {
        return reprice::run(app, reprice).await;
    }
    if app.settings.json && (usage.csv || usage.chart) {
        let cause = "--json, --csv and --chart are three ways to print the same";
        return Err(Failure::new("conflicting_flags", cause));
    }
    let mut selection = Selection::of(&usage.range);
    if let Some(id) = &usage.conversation {
        selection.conversation = Some(find::conversation(app, id).await?.id);
    }
    match usage.by {
        Some(by) => groups::run(app, &selection, by, usage).await,
        None => list(app, &selection, usage.csv).await,
    }
}

/// What one conversation has used.
pub(crate) async fn sum_of(app: &App<'_>, conversation: &ConversationId) -> Result<Sum, Failure> {
    let selection = Selection::of_conversation(conversation);
    let mut sum = Sum::default();
    each_row(app, &selection, |_, row| sum.add(row)).await?;
    Ok(sum)
}

async fn list(app: &App<'_>, selection: &Selection, as_csv: bool) -> Result<Exit, Failure> {
    let heading =
        ["when (UTC)", "model", "for", "in", "cached", "out", "cost", "by", "conversation"];
    let mut table = Table::new(heading).right_aligned(&[3, 4, 5, 6]);
    if as_csv {
        csv(app, CSV_HEADING);
    }
    let mut shown = 0_usize;
    let mut sum = Sum::default();
    each_row(app, selection, |scope, row| {
        if app.settings.json {
            app.output.line(json(scope, row));
        } else if as_csv {
            csv(app, csv_cells(scope, row));
        } else if shown < ROWS_SHOWN_MAX {
            table.row(cells(row));
        }
        shown = shown.saturating_add(1);
        sum.add(row)
    })
    .await?;
    if app.settings.json || as_csv {
        return Ok(Exit::Ok);
    }
    if shown > 0 {
        for line in table.lines() {
            app.output.line(line);
        }
    }
    app.output.line(sum);
    Ok(Exit::Ok)
}

/// Writes one record, with the line end of the format where no terminal would show it.
fn csv<S: AsRef<str>>(app: &App<'_>, cells: impl IntoIterator<Item = S>) {
    let end = if app.output.is_terminal() { "\n" } else { "\r\n" };
    app.output.text(&format!("{}{end}", csv_line(cells)));
}

fn by(row: &UsageRow) -> &'static str {
    match row.source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
        UsageSource::Adjusted => "adjusted",
        _ => "other",
    }
}

/// US dollars without their sign of currency, for programs.
fn usd(amount: Money) -> String {
    amount.to_string().replace('$', "")
}

fn cells(row: &UsageRow) -> [String; 9] {
    [
        moment(row.at),
        row.model.to_string(),
        row.purpose.as_str().to_owned(),
        row.usage.input_total().to_string(),
        row.usage.cache_read.to_string(),
        row.usage.output_total().to_string(),
        row.amount.to_string(),
        by(row).to_owned(),
        row.conversation.to_string(),
    ]
}

const CSV_HEADING: [&str; 18] = [
    "at_utc",
    "user",
    "conversation",
    "turn",
    "step",
    "attempt",
    "purpose",
    "model",
    "input_uncached",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
    "source",
    "price_version",
    "amount_nano_usd",
    "amount_usd",
    "provider_request_id",
];

fn csv_cells(scope: &Scope, row: &UsageRow) -> [String; 18] {
    [
        moment(row.at),
        scope.user.to_string(),
        row.conversation.to_string(),
        row.key.step.turn.to_string(),
        row.key.step.step.to_string(),
        row.key.attempt.to_string(),
        row.purpose.as_str().to_owned(),
        row.model.to_string(),
        row.usage.input_uncached.to_string(),
        row.usage.cache_read.to_string(),
        row.usage.cache_write.to_string(),
        row.usage.output.to_string(),
        row.usage.reasoning.to_string(),
        row.source.as_str().to_owned(),
        row.price_version.clone(),
        row.amount.nano_usd().to_string(),
        usd(row.amount),
        row.provider_request_id.clone().unwrap_or_default(),
    ]
}

fn json(scope: &Scope, row: &UsageRow) -> serde_json::Value {
    json!({
        "user": scope.user,
        "turn": row.key.step.turn,
        "step": row.key.step.step,
        "attempt": row.key.attempt,
        "conversation": row.conversation,
        "purpose": row.purpose,
        "model": row.model.to_string(),
        "usage": row.usage,
        "source": row.source,
        "amount_nano_usd": row.amount,
        "price_version": row.price_version,
        "provider_request_id": row.provider_request_id,
        "at": row.at,
    })
}
