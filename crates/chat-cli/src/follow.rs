//! Follows one turn to its end: prints what comes, stops it at Ctrl-C, lets it finish at SIGTERM.

mod status;

pub(crate) use status::status_line;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chat_runtime::types::{ContentPart, LowAccount, ModelRef, TurnFailure};
use chat_runtime::{
    ConversationId, Cursor, EventKind, Money, StreamExt, Turn, TurnEvent, TurnRequest, TurnState,
    Usage,
};

use crate::app::App;
use crate::errors::{Exit, Failure};
use crate::render::moment;
use crate::signals::{Caught, Signals};

/// How the events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The answer's text.
    Text,
    /// Every event, one JSON line each.
    Json,
}

/// A turn, as far as it was followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Followed {
    pub(crate) conversation: ConversationId,
    pub(crate) model: Option<ModelRef>,
    /// Tokens sent and the model's window.
    pub(crate) context: Option<(u64, u64)>,
    pub(crate) usage: Usage,
    pub(crate) cost: Money,
    /// How it ended; none if it was left running.
    pub(crate) state: Option<TurnState>,
    pub(crate) failure: Option<TurnFailure>,
    /// The signal that ended it.
    pub(crate) caught: Option<Caught>,
}

impl Followed {
    /// The program's exit code for it, or why it failed.
    pub(crate) fn exit(&self) -> Result<Exit, Failure> {
        match (self.caught, self.state) {
            (Some(Caught::Terminate), _) => return Ok(Exit::Terminated),
            (_, None | Some(TurnState::Aborted)) => return Ok(Exit::Stopped),
            (_, Some(TurnState::Completed | TurnState::Truncated)) => return Ok(Exit::Ok),
            _ => {}
        }
        match &self.failure {
            Some(failure) => Err(failure.into()),
            None => Err(Failure::new("interrupted", "the turn ended early")),
        }
    }
}

/// How long a person waits before wondering.
const WONDERING_MS: u64 = 2_000;

/// Sends a message; none if a signal came before it was acknowledged. It may be stored even then.
///
/// # Errors
/// As `BaseClient::send_message`.
pub(crate) async fn send(
    app: &App<'_>,
    request: TurnRequest,
    signals: &mut Signals,
) -> Result<Result<Turn, Caught>, Failure> {
    let mut sending = Box::pin(app.client().send_message(&app.scope, request));
    let mut wondering = Box::pin(tokio::time::sleep(Duration::from_millis(WONDERING_MS)));
    let mut is_told = false;
    loop {
        tokio::select! {
            turn = &mut sending => return Ok(Ok(turn?)),
            caught = signals.next() => {
                app.output.note("left before the message was acknowledged");
                return Ok(Err(caught));
            }
            () = &mut wondering, if !is_told => {
                app.output.note("waiting for the database");
                is_told = true;
            }
        }
    }
}

/// Shows a turn's events until it ends. The first Ctrl-C asks it to stop, the second leaves at
/// once; SIGTERM takes no new turns and lets this one finish as long as it may.
///
/// # Errors
/// If the events cannot be read.
pub(crate) async fn follow(
    app: &App<'_>,
    turn: &Turn,
    shown: Shown,
    signals: &mut Signals,
) -> Result<Followed, Failure> {
    let mut followed = Followed {
        conversation: turn.conversation().clone(),
        model: None,
        context: None,
        usage: Usage::default(),
        cost: Money::ZERO,
        state: None,
        failure: None,
        caught: None,
    };
    let mut events = turn.events(Cursor::START).await?;
    let mut drain: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::pending());
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { break };
                let event = event?;
                show(app, &event, shown);
                note(&mut followed, &event);
            }
            () = &mut drain => drain = Box::pin(std::future::pending()),
            caught = signals.next() => {
                if followed.caught == Some(Caught::Interrupt) && caught == Caught::Interrupt {
                    app.output.end_line();
                    return Ok(followed);
                }
                match caught {
                    Caught::Interrupt => {
                        turn.stop().await?;
                        app.output.end_line();
                        app.output.note("stopping; what was said is kept (Ctrl-C again leaves at once)");
                    }
                    Caught::Terminate => {
                        let client = app.client().clone();
                        drain = Box::pin(async move { client.drain().await });
                    }
                }
                followed.caught = Some(caught);
            }
        }
    }
    app.output.end_line();
    turn.settled().await;
    Ok(followed)
}

fn show(app: &App<'_>, event: &TurnEvent, shown: Shown) {
    if shown == Shown::Json {
        if let Ok(json) = serde_json::to_string(event) {
            app.output.line(json);
        }
        return;
    }
    match &event.event {
        EventKind::Held { low, .. } => {
            for account in low {
                app.output.note(low_line(account));
            }
        }
        EventKind::TextDelta { text, .. } => app.output.text(text),
        EventKind::Reset { parts, .. } => {
            app.output.end_line();
            app.output.note("the answer starts again");
            for part in parts {
                if let ContentPart::Text { text } = part {
                    app.output.text(text);
                }
            }
        }
        _ => {}
    }
}

/// The soft warning of one account.
fn low_line(low: &LowAccount) -> String {
    let filled = low.refill_at.map(|at| format!(", filled again {}", moment(at)));
    let left = low.unit.show(low.left);
    format!("{} is low: {left} left{}", low.account, filled.unwrap_or_default())
}

fn note(followed: &mut Followed, event: &TurnEvent) {
    match &event.event {
        EventKind::Accepted { model, .. } => followed.model = Some(model.clone()),
        EventKind::Context { report } => {
            followed.context = Some((report.input_tokens.get(), report.budget.window.get()));
        }
        EventKind::Ended { outcome, usage, cost, failure, .. } => {
            followed.state = Some(*outcome);
            followed.usage = *usage;
            followed.cost = *cost;
            followed.failure.clone_from(failure);
        }
        _ => {}
    }
}
