//! `chat audit`: the books, proven from their rows.

use serde_json::json;

use crate::app::App;
use crate::errors::{Exit, Failure};

/// Prints what was counted; names every row that breaks an invariant.
///
/// # Errors
/// `audit_broken` if there is one.
pub(crate) async fn run(app: &App<'_>) -> Result<Exit, Failure> {
    let summary = app.client().audit().run().await?;
    let ledger = &summary.ledger;
    let named: Vec<String> = ledger
        .breaks
        .iter()
        .map(ToString::to_string)
        .chain(summary.breaks.iter().cloned())
        .collect();
    let breaks = ledger.breaks_total.saturating_add(summary.breaks_total);
    if app.settings.json {
        app.output.line(json!({
            "sound": summary.is_sound(),
            "accounts": ledger.accounts,
            "entries": ledger.entries,
            "overruns": ledger.overruns,
            "holds_open": ledger.holds_open,
            "holds_closed": ledger.holds_closed,
            "usage_rows": summary.usage_rows,
            "steps": summary.steps,
            "steps_unsettled": summary.steps_unsettled,
            "breaks": named,
            "breaks_total": breaks,
        }));
    } else {
        app.output.line(format_args!(
            "{} accounts, {} entries ({} overruns), {} holds ({} open), {} usage rows, {} steps ({} not settled yet)",
            ledger.accounts,
            ledger.entries,
            ledger.overruns,
            ledger.holds_open.saturating_add(ledger.holds_closed),
            ledger.holds_open,
            summary.usage_rows,
            summary.steps,
            summary.steps_unsettled,
        ));
        for line in &named {
            app.output.line(format_args!("broken: {line}"));
        }
        if summary.is_sound() {
            app.output.line("the books are sound");
        }
    }
    if summary.is_sound() {
        return Ok(Exit::Ok);
    }
    let first = named.first().cloned().unwrap_or_default();
    Err(Failure::new("audit_broken", format!("{breaks} rows break an invariant, first: {first}")))
}
