//! What a person means by the start of an id.

use std::collections::HashSet;

use chat_runtime::persist::ConversationQuery;
use chat_runtime::thread::MessageThread;
use chat_runtime::{Conversation, ConversationId, Message, MessageId};

use crate::app::App;
use crate::errors::Failure;

/// Conversations looked through for the start of an id.
const CONVERSATIONS_MAX: usize = 100_000;
/// Conversations read at a time.
const CONVERSATIONS_PER_READ: u32 = 1_000;
/// Messages read of one conversation.
const MESSAGES_MAX: usize = 100_000;
/// Messages read at a time.
const MESSAGES_PER_READ: usize = 256;

/// The conversation of this id, else the only one whose id starts like this.
///
/// # Errors
/// `unknown_conversation`, also for somebody else's; `ambiguous_id`.
pub(crate) async fn conversation(app: &App<'_>, text: &str) -> Result<Conversation, Failure> {
    let unknown = || {
        let shown: String = text.chars().take(128).collect();
        Failure::new("unknown_conversation", format!("there is no conversation {shown}"))
    };
    let id = ConversationId::new(text)?;
    if let Some(found) = app.client().store().conversation(&app.scope, &id).await? {
        return Ok(found);
    }
    let mut found: Option<Conversation> = None;
    for archived in [false, true] {
        let mut query = ConversationQuery {
            limit: CONVERSATIONS_PER_READ,
            archived,
            ..ConversationQuery::default()
        };
        let mut seen = 0_usize;
        loop {
            let page = app.client().store().conversations(&app.scope, &query).await?;
            seen = seen.saturating_add(page.conversations.len());
            for conversation in page.conversations {
                if !conversation.id.as_str().starts_with(text) {
                    continue;
                }
                if found.is_some() {
                    let cause = format!("several conversations start with {text}");
                    return Err(Failure::new("ambiguous_id", cause));
                }
                found = Some(conversation);
            }
            query.after = page.next;
            if query.after.is_none() || seen >= CONVERSATIONS_MAX {
                break;
            }
        }
    }
    found.ok_or_else(unknown)
}

/// The conversation that changed last.
pub(crate) async fn newest_conversation(app: &App<'_>) -> Result<Option<Conversation>, Failure> {
    let query = ConversationQuery { limit: 1, ..ConversationQuery::default() };
    let page = app.client().store().conversations(&app.scope, &query).await?;
    Ok(page.conversations.into_iter().next())
}

/// Every message of a conversation, as a tree.
///
/// # Errors
/// `broken_tree` beyond 100,000 messages.
pub(crate) async fn thread(app: &App<'_>, id: &ConversationId) -> Result<MessageThread, Failure> {
    let mut messages = Vec::new();
    let mut after: Option<MessageId> = None;
    loop {
        let page = app
            .client()
            .store()
            .messages(&app.scope, id, after.as_ref(), MESSAGES_PER_READ)
            .await?;
        messages.extend(page.messages);
        after = page.next;
        if after.is_none() {
            return Ok(MessageThread::normalise(messages));
        }
        if messages.len() > MESSAGES_MAX {
            let cause = format!("the conversation has more than {MESSAGES_MAX} messages");
            return Err(Failure::new("broken_tree", cause));
        }
    }
}

/// The branch that ends at `head`, oldest first.
pub(crate) async fn branch(
    app: &App<'_>,
    id: &ConversationId,
    head: &MessageId,
) -> Result<Vec<Message>, Failure> {
    let mut messages: Vec<Message> = Vec::new();
    let mut seen: HashSet<MessageId> = HashSet::new();
    let mut next = Some(head.clone());
    while let Some(from) = next.take() {
        let store = app.client().store();
        let page = store.branch(&app.scope, id, &from, MESSAGES_PER_READ).await?;
        for message in page.messages {
            // A cycle in the stored tree ends the branch.
            if !seen.insert(message.id.clone()) {
                break;
            }
            messages.push(message);
        }
        next = page.next.filter(|next| !seen.contains(next));
        if messages.len() > MESSAGES_MAX {
            break;
        }
    }
    messages.reverse();
    Ok(messages)
}

/// The message of this id, else the only one of the conversation whose id starts or ends like this.
///
/// # Errors
/// `unknown_message`; `ambiguous_id`.
pub(crate) async fn message(
    app: &App<'_>,
    conversation: &ConversationId,
    text: &str,
) -> Result<Message, Failure> {
    let id = MessageId::new(text)?;
    let store = app.client().store();
    if let Some(found) = store.message(&app.scope, conversation, &id).await? {
        return Ok(found);
    }
    let thread = thread(app, conversation).await?;
    let mut found = thread.messages().filter(|message| {
        let id = message.id.as_str();
        id.starts_with(text) || id.ends_with(text)
    });
    match (found.next(), found.next()) {
        (Some(message), None) => Ok(message.clone()),
        (Some(_), Some(_)) => {
            let cause = format!("several messages of this conversation match {text}");
            Err(Failure::new("ambiguous_id", cause))
        }
        (None, _) => {
            let cause = format!("there is no message {text} in this conversation");
            Err(Failure::new("unknown_message", cause))
        }
    }
}
