//! `chat explain`: what a message would send and hold, without sending or holding anything.

use chat_runtime::Explanation;
use chat_runtime::types::{ContextReport, Money, PrefixReport, Section};
use serde_json::json;

use crate::app::App;
use crate::arguments::Explain;
use crate::commands::send;
use crate::errors::{Exit, Failure};
use crate::render::{Table, short_id, window_bar};

/// The window as a picture, then what each section takes, then what became of every item.
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

/// The bar's width: what is left of 80 columns beside its label.
const BAR_CHARS: usize = 70;

fn print(app: &App<'_>, explanation: &Explanation) {
    let report = &explanation.report;
    let budget = &report.budget;
    app.output.line(format_args!("model   {}", explanation.model));
    app.output.line(format_args!(
        "window  {} = {} for the prompt + {} for the reply + {} margin",
        budget.window, budget.input, budget.output_cap, budget.margin
    ));
    app.output.line(format_args!("        {}", picture(explanation)));
    app.output.line(format_args!(
        "prompt  {} tokens ({}){}, at most {} charged",
        report.input_tokens,
        word(&report.provenance),
        band(report),
        explanation.input_bound
    ));
    app.output.line(format_args!(
        "hold    {}, at least {} (prices {})",
        explanation.quote.amount, explanation.quote.floor, explanation.quote.price_version
    ));
    if let Some(prefix) = &report.prefix {
        app.output.line(prefix_line(prefix, explanation.broken_prefix_cost));
    }
    app.output.line("");
    for line in sections(explanation).lines() {
        app.output.line(line);
    }
    app.output.line("");
    for line in items(report).lines() {
        app.output.line(line);
    }
    if let Some(cut) = &report.cut_before {
        app.output.line(format_args!("cut     {} and everything older did not fit", short_id(cut)));
    }
    for note in &report.notes {
        app.output.line(format_args!("note    {note}"));
    }
}

/// The window with a letter per section; what is kept free for the reply and for counting errors
/// stands at its end.
fn picture(explanation: &Explanation) -> String {
    let report = &explanation.report;
    let budget = &report.budget;
    let mut pieces: Vec<(char, u64)> = report
        .sections
        .iter()
        .map(|section| (letter(section.section), section.tokens.get()))
        .collect();
    let sent: u64 = pieces.iter().map(|(_, tokens)| *tokens).sum();
    let kept_free = budget.output_cap.plus(budget.margin).get();
    pieces.push(('.', budget.window.get().saturating_sub(sent).saturating_sub(kept_free)));
    pieces.push(('>', budget.output_cap.get()));
    pieces.push(('~', budget.margin.get()));
    window_bar(&pieces, budget.window.get(), BAR_CHARS)
}

/// How far the total can be off, where that is anything.
fn band(report: &ContextReport) -> String {
    match report.input_band {
        Some(band) if band.low != band.high => {
            format!(", most probably {} to {}", band.low, band.high)
        }
        _ => String::new(),
    }
}

/// What stands for a section in the bar.
fn letter(section: Section) -> char {
    word(&section).chars().next().map_or('?', |first| first.to_ascii_uppercase())
}

fn prefix_line(prefix: &PrefixReport, cost: Option<Money>) -> String {
    match prefix.broken_by {
        None => {
            format!("prefix  as in the turn before: {} tokens can come from a cache", prefix.stable)
        }
        Some(section) => format!(
            "prefix  broken by the {}: {} of {} tokens are sent again{}",
            word(&section),
            prefix.sent_again(),
            prefix.previous,
            cost.map(|cost| format!(", {cost} more than from a cache")).unwrap_or_default()
        ),
    }
}

fn sections(explanation: &Explanation) -> Table {
    let header = ["", "section", "items", "tokens", "of prompt", "costs", "hash"];
    let mut table = Table::new(header).right_aligned(&[2, 3, 4, 5]);
    let total = explanation.report.input_tokens.get().max(1);
    let costs = explanation.section_costs.iter().map(|(_, cost)| cost.to_string());
    for (section, cost) in explanation.report.sections.iter().zip(costs) {
        let percent = section.tokens.get().saturating_mul(100) / total;
        table.row([
            letter(section.section).to_string(),
            word(&section.section),
            section.items.to_string(),
            section.tokens.to_string(),
            format!("{percent} %"),
            cost,
            section.hash.as_str().chars().take(8).collect(),
        ]);
    }
    table
}

fn items(report: &ContextReport) -> Table {
    let mut table = Table::new(["section", "from", "tokens", "known", "fate", "why"]);
    table = table.right_aligned(&[2]);
    for item in &report.items {
        let from = item.source.as_ref().map(short_id).or_else(|| item.snippet.clone());
        table.row([
            word(&item.section),
            from.unwrap_or_default(),
            item.tokens.to_string(),
            word(&item.provenance),
            word(&item.fate),
            item.reason.clone(),
        ]);
    }
    table
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
        "section_costs_nano_usd": explanation
            .section_costs
            .iter()
            .map(|(section, cost)| (word(section), json!(cost)))
            .collect::<serde_json::Map<_, _>>(),
        "broken_prefix_nano_usd": explanation.broken_prefix_cost,
    })
}
