//! `chat usage`: what was used and what it cost, one row per attempt that reached a model.

use chat_runtime::types::UsageSource;
use chat_runtime::usage::{UsageQuery, UsageRow};
use chat_runtime::{ConversationId, Money};
use serde_json::json;

use crate::app::App;
use crate::arguments::Usage;
use crate::errors::{Exit, Failure};
use crate::find;
use crate::render::{Table, moment};

/// Rows read at a time.
const ROWS_PER_READ: u32 = 1_000;
/// Rows shown; the rest is summed up.
const ROWS_SHOWN_MAX: usize = 1_000;

/// The rows and their sum.
pub(crate) async fn run(app: &App<'_>, usage: &Usage) -> Result<Exit, Failure> {
    let conversation = match &usage.conversation {
        Some(id) => Some(find::conversation(app, id).await?.id),
        None => None,
    };
    let mut table = Table::new([
        "when (UTC)",
        "model",
        "for",
        "in",
        "cached",
        "out",
        "cost",
        "by",
        "conversation",
    ])
    .right_aligned(&[3, 4, 5, 6]);
    let mut shown = 0_usize;
    let sum = each_row(app, conversation.as_ref(), |row| {
        if app.settings.json {
            app.output.line(json(row));
        } else if shown < ROWS_SHOWN_MAX {
            table.row(cells(row));
        }
        shown = shown.saturating_add(1);
    })
    .await?;
    if app.settings.json {
        return Ok(Exit::Ok);
    }
    if shown > 0 {
        for line in table.lines() {
            app.output.line(line);
        }
    }
    app.output.line(format_args!(
        "{} calls, {} tokens in, {} out, {}",
        sum.rows,
        sum.usage.input_total(),
        sum.usage.output_total(),
        sum.cost
    ));
    Ok(Exit::Ok)
}

/// A sum of rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) usage: chat_runtime::Usage,
    pub(crate) cost: Money,
}

/// Reads all rows, shows each to `see`, and sums them up.
pub(crate) async fn each_row(
    app: &App<'_>,
    conversation: Option<&ConversationId>,
    mut see: impl FnMut(&UsageRow),
) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    let mut query = UsageQuery {
        conversation: conversation.cloned(),
        limit: ROWS_PER_READ,
        ..UsageQuery::default()
    };
    loop {
        let rows = app.client().usage().store().rows(&app.scope, &query).await?;
        for row in &rows {
            see(row);
            sum.rows = sum.rows.saturating_add(1);
            sum.usage = sum.usage.plus(&row.usage);
            sum.cost = sum
                .cost
                .plus(row.amount)
                .map_err(|error| Failure::new("invalid_amount", error.to_string()))?;
        }
        match rows.last() {
            Some(last) => query.after = Some(last.key.clone()),
            None => return Ok(sum),
        }
    }
}

fn by(row: &UsageRow) -> &'static str {
    match row.source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
        UsageSource::Adjusted => "adjusted",
        _ => "other",
    }
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

fn json(row: &UsageRow) -> serde_json::Value {
    json!({
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
