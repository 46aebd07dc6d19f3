//! `chat usage --by GROUP`: sums instead of rows, as a table, a chart, JSON or CSV.

use std::collections::BTreeMap;

use chat_runtime::Scope;
use chat_runtime::types::Tokens;
use chat_runtime::usage::UsageRow;
use rustyline::DefaultEditor;
use serde_json::json;

use super::{Selection, Sum, csv, each_row, usd};
use crate::app::App;
use crate::arguments::{GroupBy, Usage};
use crate::errors::{Exit, Failure};
use crate::render::{Table, bars, day};

/// Groups kept in memory: more conversations than one user has, more days than anybody lives.
const GROUPS_MAX: usize = 100_000;
/// The width of a chart where nobody says how wide the terminal is.
const WIDTH_DEFAULT: usize = 80;

/// Sums the selected rows up and prints one line a group: days in their order, others by cost.
pub(crate) async fn run(
    app: &App<'_>,
    selection: &Selection,
    by: GroupBy,
    usage: &Usage,
) -> Result<Exit, Failure> {
    let mut groups: BTreeMap<String, Sum> = BTreeMap::new();
    let mut total = Sum::default();
    each_row(app, selection, |scope, row| {
        groups.entry(name_of(by, scope, row)).or_default().add(row)?;
        total.add(row)?;
        if groups.len() > GROUPS_MAX {
            let cause = format!("there are more than {GROUPS_MAX} groups");
            return Err(Failure::new("too_many_groups", cause));
        }
        Ok(())
    })
    .await?;
    let mut groups: Vec<(String, Sum)> = groups.into_iter().collect();
    if by != GroupBy::Day {
        // A stable sort: equal costs stay in the order of their names.
        groups.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.cost));
    }
    if app.settings.json {
        for (name, sum) in &groups {
            app.output.line(json!({
                "by": by.as_str(),
                "group": name,
                "calls": sum.rows,
                "usage": sum.usage,
                "amount_nano_usd": sum.cost,
            }));
        }
    } else if usage.csv {
        let counts = ["calls", "input_uncached", "cache_read", "cache_write", "output"];
        let amounts = ["reasoning", "amount_nano_usd", "amount_usd"];
        csv(app, [by.as_str()].into_iter().chain(counts).chain(amounts));
        for (name, sum) in &groups {
            csv(app, csv_cells(name, sum));
        }
    } else if usage.chart {
        for line in chart(app, &groups) {
            app.output.line(line);
        }
        app.output.line(total);
    } else {
        for line in table(by, &groups) {
            app.output.line(line);
        }
        app.output.line(total);
    }
    Ok(Exit::Ok)
}

fn name_of(by: GroupBy, scope: &Scope, row: &UsageRow) -> String {
    match by {
        GroupBy::Day => day(row.at),
        GroupBy::User => scope.user.to_string(),
        GroupBy::Model => row.model.to_string(),
        GroupBy::Conversation => row.conversation.to_string(),
        GroupBy::Purpose => row.purpose.as_str().to_owned(),
    }
}

fn table(by: GroupBy, groups: &[(String, Sum)]) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new([by.as_str(), "calls", "in", "cached", "out", "cost"])
        .right_aligned(&[1, 2, 3, 4, 5]);
    for (name, sum) in groups {
        table.row([
            name.clone(),
            sum.rows.to_string(),
            sum.usage.input_total().to_string(),
            sum.usage.cache_read.to_string(),
            sum.usage.output_total().to_string(),
            sum.cost.to_string(),
        ]);
    }
    table.lines()
}

/// Bars of cost; of tokens where nothing cost anything.
fn chart(app: &App<'_>, groups: &[(String, Sum)]) -> Vec<String> {
    let is_free = groups.iter().all(|(_, sum)| sum.cost == chat_runtime::Money::ZERO);
    let rows: Vec<(String, i64, String)> = groups
        .iter()
        .map(|(name, sum)| {
            if is_free {
                let tokens: Tokens = sum.usage.input_total().plus(sum.usage.output_total());
                let value = i64::try_from(tokens.get()).unwrap_or(i64::MAX);
                (name.clone(), value, format!("{tokens} tokens"))
            } else {
                (name.clone(), sum.cost.nano_usd(), sum.cost.to_string())
            }
        })
        .collect();
    if app.output.is_terminal() {
        bars(&rows, terminal_width(), '█')
    } else {
        bars(&rows, WIDTH_DEFAULT, '#')
    }
}

fn terminal_width() -> usize {
    let columns = DefaultEditor::new().ok().and_then(|mut editor| editor.dimensions());
    columns.map_or(WIDTH_DEFAULT, |(columns, _)| usize::from(columns))
}

fn csv_cells(name: &str, sum: &Sum) -> [String; 9] {
    [
        name.to_owned(),
        sum.rows.to_string(),
        sum.usage.input_uncached.to_string(),
        sum.usage.cache_read.to_string(),
        sum.usage.cache_write.to_string(),
        sum.usage.output.to_string(),
        sum.usage.reasoning.to_string(),
        sum.cost.nano_usd().to_string(),
        usd(sum.cost),
    ]
}
