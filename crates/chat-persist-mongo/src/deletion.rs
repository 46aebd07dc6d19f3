//! What goes with what: a conversation with all that is its own, a message with everything below it.
//!
//! What a running turn needs stays: a deletion that meets one is refused, or left for later.

use std::collections::{HashMap, HashSet};

use chat_persist::PersistErrorKind;
use chat_types::{ConversationId, MessageId, Scope, Timestamp};
use mongodb::bson::{Bson, Document, doc};

use crate::collections::{CONVERSATIONS, MESSAGES};
use crate::error::Outcome;
use crate::messages::DOCUMENTS_PER_COMMAND;
use crate::record::{Fields, scope_of, time};
use crate::refusal::refused;
use crate::unit::{Cut, Unit};
use crate::{conversations, journal, messages};

/// Deletes a conversation with everything that belongs to it.
pub(crate) async fn delete_conversation(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> Outcome<bool> {
    if conversations::find(unit, scope, id).await?.is_none() {
        return Ok(false);
    }
    if journal::is_busy(unit, scope, id).await? {
        let detail = format!("a turn of conversation {id} is running or not yet settled");
        return refused(PersistErrorKind::Conflict, "delete conversation", detail);
    }
    remove(unit, scope, id).await?;
    Ok(true)
}

/// Children first; the document that says that there is a conversation goes last.
async fn remove(unit: &mut Unit<'_>, scope: &Scope, id: &ConversationId) -> Outcome<()> {
    journal::remove_turns(unit, scope, id).await?;
    unit.delete_many(MESSAGES, messages::all_of(scope, id)).await?;
    unit.delete_many(CONVERSATIONS, conversations::one(scope, id)).await?;
    Ok(())
}

/// Deletes up to `limit` conversations whose time was over at `now`, with everything that belongs
/// to them, and returns how many. One with unfinished business is spared.
pub(crate) async fn sweep_conversations(
    unit: &mut Unit<'_>,
    now: Timestamp,
    limit: i64,
) -> Outcome<u64> {
    /// How many are looked at in one query; those that are spared make room for no other.
    const LOOKED_AT_ONCE: i64 = 200;
    let mut swept = 0_u64;
    let mut after = Bson::MinKey;
    while i64::try_from(swept).unwrap_or(i64::MAX) < limit {
        let filter =
            doc! { "expiredAt": { "$type": "date", "$lte": time(now) }, "_id": { "$gt": after } };
        let cut = Cut::sorted(doc! { "_id": 1 }, LOOKED_AT_ONCE)
            .only(doc! { "conversationId": 1, "user": 1, "tenantId": 1 });
        let documents = unit.find(CONVERSATIONS, filter, cut).await?;
        let Some(last) = documents.last().and_then(|document| document.get("_id")) else {
            break;
        };
        after = last.clone();
        for document in &documents {
            let (Ok(scope), Ok(id)) =
                (scope_of(document), Fields(document).parsed::<ConversationId>("conversationId"))
            else {
                continue;
            };
            if i64::try_from(swept).unwrap_or(i64::MAX) >= limit {
                break;
            }
            if !journal::is_busy(unit, &scope, &id).await? {
                remove(unit, &scope, &id).await?;
                swept = swept.saturating_add(1);
            }
        }
    }
    Ok(swept)
}

/// Deletes a message and everything below it; returns how many went.
pub(crate) async fn delete_subtree(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    message: &MessageId,
) -> Outcome<u64> {
    const OPERATION: &str = "delete subtree";
    if !messages::is_there(unit, scope, conversation, message).await? {
        return Ok(0);
    }
    conversations::lock_tree(unit, scope, conversation).await?;
    let cut = Cut::sorted(doc! { "_id": 1 }, 0)
        .only(doc! { "_id": 0, "messageId": 1, "parentMessageId": 1 });
    let documents = unit.find(MESSAGES, messages::all_of(scope, conversation), cut).await?;
    let tree = Tree::of(&documents);
    let below = tree.below(message);
    let going: HashSet<MessageId> = below.iter().cloned().collect();
    if journal::is_writing_below(unit, scope, conversation, &going).await? {
        let detail = format!("a turn is writing below message {message}");
        return refused(PersistErrorKind::Conflict, OPERATION, detail);
    }
    let head = conversations::own_head(unit, scope, conversation).await?;
    if head.is_some_and(|head| going.contains(&head)) {
        let above = tree.parents.get(message).filter(|parent| tree.parents.contains_key(parent));
        conversations::correct_head(unit, scope, conversation, above).await?;
    }
    let mut deleted = 0_u64;
    // Leaves first: what a crash on a standalone server leaves is a tree.
    for ids in below.rchunks(DOCUMENTS_PER_COMMAND) {
        let filter = messages::some_of(scope, conversation, ids);
        deleted = deleted.saturating_add(unit.delete_many(MESSAGES, filter).await?);
    }
    Ok(deleted)
}

/// Who is whose parent in a conversation.
struct Tree {
    parents: HashMap<MessageId, MessageId>,
    children: HashMap<MessageId, Vec<MessageId>>,
}

impl Tree {
    /// Roots have a parent too, which is no message.
    fn of(documents: &[Document]) -> Self {
        let mut tree = Self { parents: HashMap::new(), children: HashMap::new() };
        for document in documents {
            let id_of =
                |name: &str| document.get_str(name).ok().and_then(|id| MessageId::new(id).ok());
            if let (Some(id), Some(parent)) = (id_of("messageId"), id_of("parentMessageId")) {
                tree.children.entry(parent.clone()).or_default().push(id.clone());
                tree.parents.insert(id, parent);
            }
        }
        tree
    }

    /// A message and everything below it, parents first; ends on a cycle.
    fn below(&self, top: &MessageId) -> Vec<MessageId> {
        let mut seen = HashSet::from([top.clone()]);
        let mut below = vec![top.clone()];
        let mut next = 0;
        while let Some(id) = below.get(next).cloned() {
            let children = self.children.get(&id).into_iter().flatten();
            below.extend(children.filter(|child| seen.insert((*child).clone())).cloned());
            next += 1;
        }
        below
    }
}
