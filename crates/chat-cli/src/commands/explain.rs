//! `chat explain`: what a message would send and hold, without sending or holding anything.

use chat_runtime::Explanation;
use serde_json::json;

use crate::app::App;
use crate::arguments::Explain;
use crate::commands::send;
use crate::errors::{Exit, Failure};
use crate::render::{Table, short_id};

/// A table of every item: kept or dropped, how large, and why.
pub(crate) async fn run(app: &App<'_>, explain: &Explain) -> Result<Exit, Failure> {
    let text = explain.text.join(" ");
    let request = send::request(app, &explain.place, &explain.wishes, text).await?;
    let explanation = app.client().explain(&app.scope, &request).await?;
    if app.settings.json {
        app.output.line(as_json(&explanation));
    } else {
        print(app, &explanation);
    }
    Ok(Exit::Ok)
}

fn print(app: &App<'_>, explanation: &Explanation) {
    let report = &explanation.report;
    let budget = &report.budget;
    app.output.line(format_args!("model   {}", explanation.model));
    app.output.line(format_args!(
        "window  {} = {} for the prompt + {} for the reply + {} margin",
        budget.window, budget.input, budget.output_cap, budget.margin
    ));
    app.output.line(format_args!(
        "prompt  {} tokens ({}), at most {} charged",
        report.input_tokens,
        word(&report.provenance),
        explanation.input_bound
    ));
    app.output.line(format_args!(
        "hold    {}, at least {} (prices {})",
        explanation.quote.amount, explanation.quote.floor, explanation.quote.price_version
    ));
    let mut table = Table::new(["section", "message", "tokens", "fate", "why"]).right_aligned(&[2]);
    for item in &report.items {
        table.row([
            word(&item.section),
            item.source.as_ref().map(short_id).unwrap_or_default(),
            item.tokens.to_string(),
            word(&item.fate),
            item.reason.clone(),
        ]);
    }
    for line in table.lines() {
        app.output.line(line);
    }
    if let Some(cut) = &report.cut_before {
        app.output.line(format_args!("cut     {} and everything older did not fit", short_id(cut)));
    }
    for note in &report.notes {
        app.output.line(format_args!("note    {note}"));
    }
}

/// The stored name of a unit variant.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    json!({
        "model": explanation.model.to_string(),
        "report": explanation.report,
        "prompt": explanation.prompt,
        "input_bound": explanation.input_bound,
        "hold_nano_usd": explanation.quote.amount,
        "hold_least_nano_usd": explanation.quote.floor,
        "price_version": explanation.quote.price_version,
    })
}
