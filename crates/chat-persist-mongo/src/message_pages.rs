//! Messages in the order of writing, page by page.

use std::collections::HashSet;

use chat_persist::{MessagePage, PersistErrorKind};
use chat_types::{ConversationId, Message, MessageId, Scope};
use mongodb::bson::doc;

use crate::collections::MESSAGES;
use crate::conversations;
use crate::error::Outcome;
use crate::messages::{Stored, all_of, one, readable, some_of};
use crate::refusal::{page_rows_of, refused};
use crate::unit::{Cut, Unit};

/// Reads a page in the order of writing.
pub(crate) async fn page(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    after: Option<&MessageId>,
    limit: usize,
) -> Outcome<MessagePage> {
    let mut filter = all_of(scope, conversation);
    if let Some(after) = after {
        let cut = Cut::default().only(doc! { "_id": 1 });
        let last_seen = unit.find_one(MESSAGES, one(scope, conversation, after), cut).await?;
        match last_seen.and_then(|last_seen| last_seen.get_object_id("_id").ok()) {
            Some(last_seen) => {
                filter.insert("_id", doc! { "$gt": last_seen });
            }
            None if conversations::touched(unit, scope, conversation).await?.is_none() => {
                return Ok(MessagePage::default());
            }
            None => {
                let detail = format!("message {after} is not in conversation {conversation}");
                return refused(PersistErrorKind::NotFound, "read messages", detail);
            }
        }
    }
    let limit = page_rows_of(limit);
    let cut = Cut::sorted(doc! { "_id": 1 }, limit.saturating_add(1));
    let documents = unit.find(MESSAGES, filter, cut).await?;
    let page_len = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = documents.len() > page_len;
    let stored: Vec<Stored> = documents.iter().take(page_len).filter_map(readable).collect();
    let messages = without_lost_parents(unit, scope, conversation, stored).await?;
    let next = messages.last().filter(|_| is_cut).map(|last| last.id.clone());
    Ok(MessagePage { messages, next })
}

/// Makes roots of those whose parent is nowhere. What this store wrote had its parent.
async fn without_lost_parents(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    stored: Vec<Stored>,
) -> Outcome<Vec<Message>> {
    let here: HashSet<&MessageId> = stored.iter().map(|stored| &stored.message.id).collect();
    let asked: HashSet<MessageId> = stored
        .iter()
        .filter(|stored| !stored.is_ours)
        .filter_map(|stored| stored.message.parent.as_ref())
        .filter(|parent| !here.contains(parent))
        .cloned()
        .collect();
    if asked.is_empty() {
        return Ok(stored.into_iter().map(|stored| stored.message).collect());
    }
    let filter = some_of(scope, conversation, &asked);
    let cut = Cut::default().only(doc! { "_id": 0, "messageId": 1 });
    let found = unit.find(MESSAGES, filter, cut).await?;
    let found: HashSet<&str> =
        found.iter().filter_map(|found| found.get_str("messageId").ok()).collect();
    let lost = |parent: &MessageId| asked.contains(parent) && !found.contains(parent.as_str());
    let mut messages = Vec::with_capacity(stored.len());
    for Stored { mut message, is_ours, .. } in stored {
        if !is_ours && message.parent.as_ref().is_some_and(lost) {
            message.parent = None;
        }
        messages.push(message);
    }
    Ok(messages)
}
