//! `chat policy`: is a truncation policy sound, and what would it have done.

use std::path::Path;

use chat_runtime::context::ConversationContext;
use chat_runtime::{SimulatedTurn, Simulation, read_policy};
use serde_json::json;

use crate::app::App;
use crate::errors::{Exit, Failure};
use crate::find;
use crate::output::Output;
use crate::render::{Table, short_id};
use crate::settings::Settings;

/// Reads the file and prints the policy with every default filled in.
pub(crate) fn check(file: &Path, settings: &Settings, output: &Output) -> Result<Exit, Failure> {
    let policy = read_policy(file)?;
    if settings.json {
        output.line(json!(policy));
        return Ok(Exit::Ok);
    }
    let rungs: Vec<&str> = policy.rungs().iter().map(|rung| rung.kind()).collect();
    let rungs = if rungs.is_empty() { "recent_window".to_owned() } else { rungs.join(", ") };
    output.line(format_args!("{}: sound; rungs: {rungs}", file.display()));
    Ok(Exit::Ok)
}

/// Replays the branch under the policy in effect and under that of the file.
pub(crate) async fn simulate(
    app: &App<'_>,
    conversation: &str,
    file: &Path,
    at: Option<&str>,
) -> Result<Exit, Failure> {
    let other = read_policy(file)?;
    let conversation = find::conversation(app, conversation).await?;
    let head = match at {
        Some(at) => Some(find::message(app, &conversation.id, at).await?.id),
        None => None,
    };
    let now = app.client().context().clone();
    let then = now.clone().with_policy(other);
    let replay = async |context: &ConversationContext| {
        app.client().simulate(&app.scope, &conversation.id, head.as_ref(), context).await
    };
    let (now, then) = (replay(&now).await?, replay(&then).await?);
    if app.settings.json {
        app.output.line(json!({ "configured": as_json(&now)?, "simulated": as_json(&then)? }));
    } else {
        print(app, &now, &then)?;
    }
    Ok(Exit::Ok)
}

fn print(app: &App<'_>, now: &Simulation, then: &Simulation) -> Result<(), Failure> {
    let heading = [
        "turn", "message", "tokens", "dropped", "again", "cost", "", "tokens", "dropped", "again",
        "cost",
    ];
    let mut table = Table::new(heading).right_aligned(&[0, 2, 3, 4, 5, 7, 8, 9, 10]);
    for (number, (now, then)) in now.turns.iter().zip(&then.turns).enumerate() {
        let [tokens, dropped, again, cost] = cells(now);
        let [then_tokens, then_dropped, then_again, then_cost] = cells(then);
        table.row([
            number.saturating_add(1).to_string(),
            short_id(&now.user_message),
            tokens,
            dropped,
            again,
            cost,
            "|".to_owned(),
            then_tokens,
            then_dropped,
            then_again,
            then_cost,
        ]);
    }
    app.output.line("left: as configured; right: the policy of the file");
    for line in table.lines() {
        app.output.line(line);
    }
    app.output.line(sums("configured", now)?);
    app.output.line(sums("simulated", then)?);
    if now.is_cut {
        app.output.line("note    only the newest messages of this branch were replayed");
    }
    if then.turns.iter().chain(&now.turns).any(|turn| turn.summary_cost.is_some()) {
        app.output.line("note    an extract stood in for what a model would have summarised");
    }
    Ok(())
}

/// Tokens sent, messages dropped (`s`: a summary stands for what is older), tokens sent again, cost
/// of input and summary.
fn cells(turn: &SimulatedTurn) -> [String; 4] {
    if turn.refused.is_some() {
        return ["refused".to_owned(), String::new(), String::new(), String::new()];
    }
    let summary = if turn.has_summary { "s" } else { "" };
    let cost = match turn.summary_cost {
        Some(summary) => format!("{} + {summary}", turn.cost),
        None => turn.cost.to_string(),
    };
    [
        turn.input_tokens.to_string(),
        format!("{}{summary}", turn.dropped),
        turn.sent_again.to_string(),
        cost,
    ]
}

fn sums(name: &str, simulation: &Simulation) -> Result<String, Failure> {
    let turns = &simulation.turns;
    let lossy = turns.iter().filter(|turn| turn.dropped > 0).count();
    let broken = turns.iter().filter(|turn| turn.sent_again.get() > 0).count();
    let summaries = turns.iter().filter(|turn| turn.summary_cost.is_some()).count();
    let refused = turns.iter().filter(|turn| turn.refused.is_some()).count();
    Ok(format!(
        "{name:<11} {} turns: {lossy} lost messages, {broken} broke the prefix, {summaries} made a \
         summary, {refused} refused; input {}",
        turns.len(),
        simulation.cost()?
    ))
}

fn as_json(simulation: &Simulation) -> Result<serde_json::Value, Failure> {
    let turns: Vec<_> = simulation
        .turns
        .iter()
        .map(|turn| {
            json!({
                "user_message": turn.user_message,
                "input_tokens": turn.input_tokens,
                "dropped": turn.dropped,
                "trimmed": turn.trimmed,
                "has_summary": turn.has_summary,
                "sent_again": turn.sent_again,
                "cost_nano_usd": turn.cost,
                "summary_cost_nano_usd": turn.summary_cost,
                "refused": turn.refused,
            })
        })
        .collect();
    Ok(json!({
        "turns": turns,
        "cost_nano_usd": simulation.cost()?,
        "is_cut": simulation.is_cut,
    }))
}
