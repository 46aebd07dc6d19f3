//! `chat models`: what can be asked, how much it takes in, and what it costs.

use serde_json::json;

use crate::app::{App, now};
use crate::commands::prices::per_million;
use crate::errors::{Exit, Failure};
use crate::render::Table;

/// Every model the providers know of; others may work too.
pub(crate) fn run(app: &App<'_>) -> Result<Exit, Failure> {
    let providers = app.client().providers();
    let prices = app.client().usage().prices();
    let default = providers.default_model();
    let mut table = Table::new(["model", "window", "output", "tools", "in $/M", "out $/M"])
        .right_aligned(&[1, 2, 4, 5]);
    for info in providers.models() {
        let is_default = default == Some(&info.model);
        let price = prices.lookup(&info.model, now()).map(|entry| entry.prices());
        if app.settings.json {
            app.output.line(json!({
                "model": info.model.to_string(),
                "default": is_default,
                "context_window": info.context_window,
                "output_max": info.output_max,
                "tools": info.tools,
                "input_pico_usd_per_token": price.map(|price| price.input),
                "output_pico_usd_per_token": price.map(|price| price.output),
            }));
            continue;
        }
        let shown = |price: Option<String>| price.unwrap_or_else(|| "unknown".to_owned());
        let mark = if is_default { " *" } else { "" };
        table.row([
            format!("{}{mark}", info.model),
            info.context_window.to_string(),
            info.output_max.to_string(),
            if info.tools { "yes" } else { "no" }.to_owned(),
            shown(price.map(|price| per_million(price.input))),
            shown(price.map(|price| per_million(price.output))),
        ]);
    }
    if !app.settings.json {
        for line in table.lines() {
            app.output.line(line);
        }
        app.output
            .note("* is used when nobody chose one; --model takes other names of a provider too");
    }
    Ok(Exit::Ok)
}
