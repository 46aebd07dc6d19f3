//! Messages: LibreChat's own documents, read one by one, written, counted.
//!
//! The order of writing is the order of `_id`. A message that names a parent which is not there
//! (LibreChat deletes by date, not by tree) is a root.

use std::collections::BTreeMap;

use chat_persist::PersistErrorKind;
use chat_types::{ConversationId, Message, MessageId, Scope, Summary, Timestamp, TokenCount};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Array, Bson, Document, doc};

pub(crate) use crate::record::Stored;

use crate::collections::MESSAGES;
use crate::error::{EngineResult, Outcome};
use crate::index::Index;
use crate::record::summary;
use crate::record::{Fields, count_record, count_update, message_of, new_message, owned};
use crate::refusal::refused;
use crate::unit::{Cut, Unit};

/// Documents per command: some megabytes of text at most in ordinary conversations.
pub(crate) const DOCUMENTS_PER_COMMAND: usize = 500;

pub(crate) fn indexes() -> Vec<Index> {
    vec![
        // One message. LibreChat's own unique index has the id first, by which no shard key can
        // begin.
        Index::on(MESSAGES, doc! { "tenantId": 1, "user": 1, "messageId": 1 }).unique(),
        // The order of writing, a branch's newest page, the newest message.
        Index::on(MESSAGES, doc! { "user": 1, "conversationId": 1, "_id": 1 }),
    ]
}

/// Where a new message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Where {
    /// The `_id` of its parent, if it has one: its own is above.
    pub(crate) above: Option<ObjectId>,
    /// When its conversation's time is over, as `Touched` says.
    pub(crate) expires_at: Option<Timestamp>,
}

/// The filter of all messages of a conversation.
pub(crate) fn all_of(scope: &Scope, conversation: &ConversationId) -> Document {
    let mut filter = owned(scope);
    filter.insert("conversationId", conversation.as_str());
    filter
}

pub(crate) fn one(scope: &Scope, conversation: &ConversationId, id: &MessageId) -> Document {
    let mut filter = doc! { "messageId": id.as_str() };
    filter.extend(all_of(scope, conversation));
    filter
}

/// The filter of these messages of a scope, in whatever conversation.
fn named<'i>(scope: &Scope, ids: impl IntoIterator<Item = &'i MessageId>) -> Document {
    let ids: Array = ids.into_iter().map(|id| Bson::from(id.as_str())).collect();
    let mut filter = doc! { "messageId": { "$in": ids } };
    filter.extend(owned(scope));
    filter
}

/// The filter of these messages of a conversation.
pub(crate) fn some_of<'i>(
    scope: &Scope,
    conversation: &ConversationId,
    ids: impl IntoIterator<Item = &'i MessageId>,
) -> Document {
    let mut filter = named(scope, ids);
    filter.insert("conversationId", conversation.as_str());
    filter
}

/// Reads a document that another program may have written; one without valid ids is left out.
pub(crate) fn readable(document: &Document) -> Option<Stored> {
    match message_of(document) {
        Ok(stored) => Some(stored),
        Err(failure) => {
            tracing::warn!(?failure, "a message that cannot be read was left out");
            None
        }
    }
}

/// Finds a message of a conversation.
pub(crate) async fn find(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    id: &MessageId,
) -> Outcome<Option<Stored>> {
    let found = unit.find_one(MESSAGES, one(scope, conversation, id), Cut::default()).await?;
    Ok(found.as_ref().map(message_of).transpose()?)
}

/// Finds the messages of the scope that have these ids, in whatever conversation, in no order.
pub(crate) async fn find_all(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &[&MessageId],
) -> Outcome<Vec<Stored>> {
    let filter = named(scope, ids.iter().copied());
    let documents = unit.find(MESSAGES, filter, Cut::default()).await?;
    Ok(documents.iter().map(message_of).collect::<EngineResult<_>>()?)
}

/// Whether a conversation has this message.
pub(crate) async fn is_there(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    id: &MessageId,
) -> EngineResult<bool> {
    let cut = Cut::default().only(doc! { "_id": 1 });
    Ok(unit.find_one(MESSAGES, one(scope, conversation, id), cut).await?.is_some())
}

/// Reads one.
pub(crate) async fn read(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    id: &MessageId,
) -> Outcome<Option<Message>> {
    let Some(mut stored) = find(unit, scope, conversation, id).await? else {
        return Ok(None);
    };
    if !stored.is_ours
        && let Some(parent) = &stored.message.parent
        && !is_there(unit, scope, conversation, parent).await?
    {
        stored.message.parent = None;
    }
    Ok(Some(stored.message))
}

/// Writes a message as the newest of its conversation. An id that is taken fails the unit, which
/// then runs again: look with [`find_all`] first.
pub(crate) async fn insert(
    unit: &mut Unit<'_>,
    scope: &Scope,
    message: &Message,
    place: Where,
) -> Outcome<()> {
    let object_id = unit.object_ids.next(place.above);
    let document = new_message(scope, object_id, message, place.expires_at)?;
    unit.insert_one(MESSAGES, &document).await?;
    Ok(())
}

/// Keeps token counts; a count that is there already stays, unless LibreChat has changed the text
/// since.
pub(crate) async fn keep_token_counts(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    counts: &[(MessageId, TokenCount)],
) -> Outcome<()> {
    let mut wanted: BTreeMap<&MessageId, Vec<&TokenCount>> = BTreeMap::new();
    for (id, count) in counts {
        let counts = wanted.entry(id).or_default();
        if counts.iter().all(|first| first.tokenizer != count.tokenizer) {
            counts.push(count);
        }
    }
    let filter = some_of(scope, conversation, wanted.keys().copied());
    let documents = unit.find(MESSAGES, filter, Cut::default()).await?;
    let mut updates = Vec::new();
    for document in &documents {
        let Some(id) = Fields(document).optional_parsed::<MessageId>("messageId")? else {
            continue;
        };
        let records = wanted.get(&id).into_iter().flatten();
        let records = records.map(|count| count_record(count)).collect::<EngineResult<Vec<_>>>()?;
        updates.extend(count_update(document, records));
    }
    unit.update_each(MESSAGES, updates).await?;
    Ok(())
}

/// What becomes of a summary that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    Stays,
    Goes,
}

/// Keeps a summary with `message`.
pub(crate) async fn keep_summary(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    message: &MessageId,
    summary: &Summary,
    earlier: Earlier,
) -> Outcome<()> {
    let found = unit.find_one(MESSAGES, one(scope, conversation, message), Cut::default()).await?;
    let Some(document) = found else {
        let detail = format!("message {message} is not in conversation {conversation}");
        return refused(PersistErrorKind::NotFound, "keep summary", detail);
    };
    let there = message_of(&document)?.message.summary;
    if there.as_ref() == Some(summary) || (there.is_some() && earlier == Earlier::Stays) {
        return Ok(());
    }
    let by_id = doc! { "_id": document.get("_id") };
    unit.update_one(MESSAGES, by_id, summary::update(&document, summary)).await?;
    Ok(())
}
