//! `chat stop`, `chat recover`: turns from outside.

use chat_runtime::TurnId;
use chat_runtime::persist::{PersistErrorKind, StopAck};
use serde_json::json;

use crate::app::App;
use crate::errors::{Exit, Failure};

/// Asks a turn to stop, whichever process runs it.
pub(crate) async fn stop(app: &App<'_>, turn: &str) -> Result<Exit, Failure> {
    let turn = TurnId::new(turn)?;
    let ack = match app.client().stop(&app.scope, &turn).await {
        Err(chat_runtime::TurnError::Store(error))
            if error.kind() == PersistErrorKind::NotFound =>
        {
            return Err(Failure::new("unknown_turn", format!("there is no turn {turn}")));
        }
        ack => ack?,
    };
    let state = match ack {
        StopAck::Requested => "stop requested",
        StopAck::AlreadyEnded(state) => state.as_str(),
    };
    if app.settings.json {
        app.output.line(json!({ "turn": turn, "state": state }));
    } else if ack == StopAck::Requested {
        app.output.line(format_args!("{turn} will stop; what was said is kept"));
    } else {
        app.output.line(format_args!("{turn} has ended already: {state}"));
    }
    Ok(Exit::Ok)
}

/// Finishes what crashed processes left behind.
pub(crate) async fn recover(app: &App<'_>) -> Result<Exit, Failure> {
    // Opening has done it once; this says what is left to do, which is mostly nothing.
    let recovered = app.client().recover().await?;
    if app.settings.json {
        app.output.line(json!({
            "turns": recovered.turns,
            "steps": recovered.steps,
            "holds": recovered.holds,
        }));
    } else {
        app.output.line(format_args!(
            "{} turns closed, {} steps settled, {} holds resolved",
            recovered.turns, recovered.steps, recovered.holds
        ));
    }
    Ok(Exit::Ok)
}
