//! `chat fork`: a branch as a conversation of its own.

use chat_runtime::thread::ForkMode;
use serde_json::json;

use crate::app::App;
use crate::arguments::{Fork, ForkScope};
use crate::errors::{Exit, Failure};
use crate::find;

/// Copies, and prints the new conversation's id.
pub(crate) async fn run(app: &App<'_>, fork: &Fork) -> Result<Exit, Failure> {
    let conversation = find::conversation(app, &fork.conversation).await?;
    let target = find::message(app, &conversation.id, &fork.at).await?;
    let mode = match fork.scope {
        ForkScope::Path => ForkMode::DirectPath,
        ForkScope::Branches => ForkMode::IncludeBranches,
        ForkScope::Level => ForkMode::TargetLevel,
    };
    let copy = app.client().fork(&app.scope, &conversation.id, &target.id, mode).await?;
    if app.settings.json {
        app.output.line(json!(copy));
    } else {
        app.output.line(&copy.id);
    }
    Ok(Exit::Ok)
}
