//! `chat compact`: a summary of a conversation, made now.

use chat_runtime::{ConversationId, Placement, TurnRequest};

use crate::app::App;
use crate::arguments::Compact;
use crate::commands::send;
use crate::errors::{Exit, Failure};
use crate::find;
use crate::follow::{self, Shown, follow, status_line};
use crate::signals::Signals;

/// Has the summary made as a turn of its own and prints it.
pub(crate) async fn run(app: &App<'_>, compact: &Compact) -> Result<Exit, Failure> {
    let conversation = find::conversation(app, &compact.conversation).await?;
    let message = match &compact.at {
        Some(at) => Some(find::message(app, &conversation.id, at).await?.id),
        None => conversation.head.clone(),
    };
    let placement = Placement::Compact { message: message.clone(), anew: compact.anew };
    let mut request = TurnRequest::placed(placement).in_conversation(conversation.id.clone());
    if let Some(model) = &app.settings.model {
        request = request.with_model(model);
    }
    send::make_model_ready(app, &request).await?;
    let mut signals = Signals::new().map_err(|error| Failure::new("signals", error.to_string()))?;
    let turn = match follow::send(app, request, &mut signals).await? {
        Ok(turn) => turn,
        Err(_caught) => return Ok(Exit::Stopped),
    };
    let shown = if app.settings.json { Shown::Json } else { Shown::Text };
    let followed = follow(app, &turn, shown, &mut signals).await?;
    let exit = followed.exit()?;
    if !app.settings.json
        && let Some(message) = message
    {
        print(app, &conversation.id, &message).await?;
        let place = format!("conversation {}", followed.conversation);
        app.output.note(status_line(&followed, &place));
    }
    Ok(exit)
}

async fn print(
    app: &App<'_>,
    conversation: &ConversationId,
    message: &chat_runtime::MessageId,
) -> Result<(), Failure> {
    let kept = app.client().store().message(&app.scope, conversation, message).await?;
    let summary = kept.and_then(|message| message.summary);
    for line in summary.iter().flat_map(|summary| summary.text.lines()) {
        app.output.line(line);
    }
    Ok(())
}
