//! Writing a whole conversation, a fork or an import, in one transaction.
//!
//! On a standalone server the messages go in order, parents first, and the conversation last: a
//! crash leaves messages of a conversation that is not there, which the same import again finishes.

use std::collections::{HashMap, HashSet};

use chat_persist::PersistErrorKind;
use chat_types::{Conversation, Message, MessageId, Scope, Summary};
use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;

use crate::collections::MESSAGES;
use crate::error::Outcome;
use crate::messages::{DOCUMENTS_PER_COMMAND, Earlier, Stored, find_all, keep_summary};
use crate::record::new_message;
use crate::refusal::refused;
use crate::unit::Unit;
use crate::{conversations, journal};

const OPERATION: &str = "import conversation";

/// Writes a conversation with its messages, or nothing.
pub(crate) async fn import(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &Conversation,
    messages: &[Message],
) -> Outcome<()> {
    let touched = conversations::touched(unit, scope, &conversation.id).await?;
    let taken = taken(unit, scope, messages).await?;
    let Checked { new, summaries, arriving } = checked(conversation, messages, &taken)?;
    let new_ids: Vec<MessageId> = new.iter().map(|message| message.id.clone()).collect();
    for ids in new_ids.chunks(DOCUMENTS_PER_COMMAND) {
        if let Some(id) = journal::replies_to_be(unit, scope, ids).await?.first() {
            return taken_id(id);
        }
    }
    if let Some(head) = &conversation.head
        && touched.is_none()
        && !arriving.contains(head)
        && taken.get(head).is_none_or(|stored| stored.message.conversation != conversation.id)
    {
        let detail = format!("the head {head} is not among the messages");
        return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
    }
    let expires_at = touched.map_or(conversation.expires_at, |touched| touched.expires_at);
    let mut placed: HashMap<&MessageId, ObjectId> = HashMap::new();
    for some in new.chunks(DOCUMENTS_PER_COMMAND) {
        let mut documents: Vec<Document> = Vec::with_capacity(some.len());
        for message in some {
            let above = message.parent.as_ref().and_then(|parent| {
                placed.get(parent).copied().or_else(|| Some(taken.get(parent)?.object_id))
            });
            let object_id = unit.object_ids.next(above);
            placed.insert(&message.id, object_id);
            documents.push(new_message(scope, object_id, message, expires_at)?);
        }
        unit.insert_many(MESSAGES, &documents).await?;
    }
    for (id, summary) in summaries {
        keep_summary(unit, scope, &conversation.id, id, summary, Earlier::Stays).await?;
    }
    if touched.is_none() {
        conversations::insert(unit, scope, conversation).await?;
    }
    Ok(())
}

/// What the scope already has under the ids of the messages and of their parents.
async fn taken(
    unit: &mut Unit<'_>,
    scope: &Scope,
    messages: &[Message],
) -> Outcome<HashMap<MessageId, Stored>> {
    let ids: HashSet<&MessageId> = messages
        .iter()
        .flat_map(|message| std::iter::once(&message.id).chain(&message.parent))
        .collect();
    let ids: Vec<&MessageId> = ids.into_iter().collect();
    let mut taken = HashMap::new();
    for ids in ids.chunks(DOCUMENTS_PER_COMMAND) {
        let found = find_all(unit, scope, ids).await?;
        taken.extend(found.into_iter().map(|stored| (stored.message.id.clone(), stored)));
    }
    Ok(taken)
}

/// What an import comes to.
struct Checked<'m> {
    /// The messages that are new.
    new: Vec<&'m Message>,
    /// Summaries of messages that are there without one.
    summaries: Vec<(&'m MessageId, &'m Summary)>,
    /// The ids of the new messages.
    arriving: HashSet<&'m MessageId>,
}

/// Checks every message in order.
fn checked<'m>(
    conversation: &Conversation,
    messages: &'m [Message],
    taken: &HashMap<MessageId, Stored>,
) -> Outcome<Checked<'m>> {
    let mut arriving: HashSet<&MessageId> = HashSet::new();
    let mut new: Vec<&Message> = Vec::new();
    let mut summaries = Vec::new();
    for message in messages {
        if message.conversation != conversation.id {
            let detail = format!("message {} belongs to another conversation", message.id);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        let is_here = |id: &MessageId| {
            arriving.contains(id)
                || taken
                    .get(id)
                    .is_some_and(|stored| stored.message.conversation == conversation.id)
        };
        if message.parent.as_ref().is_some_and(|parent| !is_here(parent)) {
            let detail = format!("message {} comes before its parent", message.id);
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        let stored = taken.get(&message.id).map(|stored| &stored.message);
        if let Some(stored) = stored.filter(|stored| stored.is_same_content(message)) {
            let summary = message.summary.as_ref().filter(|_| stored.summary.is_none());
            summaries.extend(summary.map(|summary| (&message.id, summary)));
            continue;
        }
        if stored.is_some() || !arriving.insert(&message.id) {
            return taken_id(&message.id);
        }
        new.push(message);
    }
    Ok(Checked { new, summaries, arriving })
}

fn taken_id<T>(id: &MessageId) -> Outcome<T> {
    refused(PersistErrorKind::Conflict, OPERATION, format!("message id {id} is taken"))
}
