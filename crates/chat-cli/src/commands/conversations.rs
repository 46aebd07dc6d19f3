//! `chat list`, `chat show`, `chat tree`: what is stored, without asking anybody.

use chat_runtime::persist::ConversationQuery;
use chat_runtime::types::Role;
use serde_json::json;

use crate::app::App;
use crate::arguments::{List, Show};
use crate::commands::costs::Costs;
use crate::errors::{Exit, Failure};
use crate::find;
use crate::render::{Table, draw_tree, first_line, message_text, moment, short_id};

/// Characters of a title shown.
const TITLE_CHARS_MAX: usize = 60;

/// Conversations, newest change first.
pub(crate) async fn list(app: &App<'_>, list: &List) -> Result<Exit, Failure> {
    let query = ConversationQuery {
        limit: list.limit,
        title_contains: list.title.clone(),
        ..ConversationQuery::default()
    };
    let page = app.client().store().conversations(&app.scope, &query).await?;
    if app.settings.json {
        for conversation in &page.conversations {
            app.output.line(json!(conversation));
        }
        return Ok(Exit::Ok);
    }
    if page.conversations.is_empty() {
        app.output.note("no conversations; `chat send \"…\"` starts one");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["conversation", "changed (UTC)", "model", "title"]);
    for conversation in &page.conversations {
        let model = conversation.model.as_ref().map(ToString::to_string);
        table.row([
            conversation.id.to_string(),
            moment(conversation.updated_at),
            model.unwrap_or_default(),
            first_line(&conversation.title, TITLE_CHARS_MAX),
        ]);
    }
    for line in table.lines() {
        app.output.line(line);
    }
    if page.next.is_some() {
        app.output.note("there are more; --limit shows them");
    }
    Ok(Exit::Ok)
}

/// One branch of a conversation, as it was said, and what it cost if that was asked for.
pub(crate) async fn show(app: &App<'_>, show: &Show) -> Result<Exit, Failure> {
    let conversation = find::conversation(app, &show.conversation).await?;
    let head = match &show.at {
        Some(at) => Some(find::message(app, &conversation.id, at).await?.id),
        None => conversation.head.clone(),
    };
    let messages = match &head {
        Some(head) => find::branch(app, &conversation.id, head).await,
        None => Ok(Vec::new()),
    };
    let messages = match messages {
        // The head is a reply that is still being written: show what it answers.
        Err(failure) if failure.code() == "not_found" && show.at.is_none() => {
            let thread = find::thread(app, &conversation.id).await?;
            let newest = thread.messages().max_by_key(|message| message.created_at);
            let path = thread.path(newest.map(|message| &message.id));
            path.into_iter().cloned().collect()
        }
        other => other?,
    };
    let costs = if show.costs {
        // The turn of a question may have its reply on another branch, which then bears the cost.
        let thread = find::thread(app, &conversation.id).await?;
        Some(Costs::read(app, &conversation.id, &thread).await?)
    } else {
        None
    };
    if app.settings.json {
        let mut shown = json!({ "conversation": conversation, "messages": messages });
        if let (Some(shown), Some(costs)) = (shown.as_object_mut(), &costs) {
            shown.insert("costs".to_owned(), costs.branch_json(&messages)?);
        }
        app.output.line(shown);
        return Ok(Exit::Ok);
    }
    app.output.note(format_args!("{}  {}", conversation.id, conversation.title));
    for message in &messages {
        let who = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "reply",
            Role::Tool => "tool",
        };
        let model = message.model.as_ref().map(|model| format!(" · {model}"));
        let cost = costs.as_ref().and_then(|costs| costs.note(&message.id));
        app.output.line(format_args!(
            "── {who} {} · {}{}{}",
            short_id(&message.id),
            moment(message.created_at),
            model.unwrap_or_default(),
            cost.map(|cost| format!(" · {cost}")).unwrap_or_default()
        ));
        app.output.line(message_text(message));
    }
    if let Some(costs) = costs {
        app.output.line(format_args!("{} on this branch", costs.sum(&messages)?));
    }
    Ok(Exit::Ok)
}

/// All branches of a conversation, and what they cost if that was asked for.
pub(crate) async fn tree(app: &App<'_>, id: &str, with_costs: bool) -> Result<Exit, Failure> {
    let conversation = find::conversation(app, id).await?;
    let thread = find::thread(app, &conversation.id).await?;
    let costs =
        if with_costs { Some(Costs::read(app, &conversation.id, &thread).await?) } else { None };
    if app.settings.json {
        let messages: Vec<_> = thread.messages().collect();
        let mut shown = json!({ "conversation": conversation, "messages": messages });
        if let (Some(shown), Some(costs)) = (shown.as_object_mut(), &costs) {
            shown.insert("costs".to_owned(), costs.json(&thread));
        }
        app.output.line(shown);
        return Ok(Exit::Ok);
    }
    app.output.line(format_args!("{}  {}", conversation.id, conversation.title));
    let notes = costs.as_ref().map(Costs::notes).unwrap_or_default();
    for line in draw_tree(&thread, conversation.head.as_ref(), &notes) {
        app.output.line(line);
    }
    if let Some(costs) = costs {
        app.output.line(costs.total_line());
    }
    Ok(Exit::Ok)
}
