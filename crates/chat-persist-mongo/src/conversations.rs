//! Conversations: LibreChat's own documents, read, listed and changed.
//!
//! An update names the fields it changes, so what else LibreChat keeps in the document stays. The
//! `messages` list of a conversation is left as it is: nobody reads it, LibreChat makes it anew
//! from the messages each time it saves, and it would grow with every turn.

use chat_persist::{ConversationCursor, ConversationPage, ConversationQuery, PersistErrorKind};
use chat_types::{
    Change, Conversation, ConversationId, ConversationPatch, MessageId, Scope, Timestamp,
};
use mongodb::bson::{Bson, Document, doc};

use crate::collections::{CONVERSATIONS, MESSAGES};
use crate::error::{EngineResult, Outcome};
use crate::index::Index;
use crate::messages;
use crate::record::{
    Fields, Found, conversation_of, new_conversation, owned, patched_fields, scope_of, time,
};
use crate::refusal::{page_rows, refused};
use crate::scans::{Position, scanned_after};
use crate::unit::{Cut, Unit};

pub(crate) fn indexes() -> Vec<Index> {
    vec![
        // One conversation, and the scan of everything. LibreChat's own unique index has the id
        // first, by which no shard key can begin.
        Index::on(CONVERSATIONS, doc! { "tenantId": 1, "user": 1, "conversationId": 1 }).unique(),
        // The listing, archived or not.
        Index::on(
            CONVERSATIONS,
            doc! {
                "user": 1, "tenantId": 1, "isArchived": 1, "updatedAt": -1, "conversationId": -1,
            },
        ),
        // Retention. LibreChat's own TTL index has other keys.
        Index::on(CONVERSATIONS, doc! { "expiredAt": 1, "conversationId": 1 })
            .only(doc! { "expiredAt": { "$type": "date" } }),
    ]
}

/// What a turn's writes need to know of the conversation they go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// When the conversation's time is over; its messages carry the same.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Touched {
    fn of(document: &Document) -> EngineResult<Self> {
        Ok(Self { expires_at: Fields(document).optional_time("expiredAt")? })
    }
}

/// The filter of one conversation.
pub(crate) fn one(scope: &Scope, id: &ConversationId) -> Document {
    let mut filter = doc! { "conversationId": id.as_str() };
    filter.extend(owned(scope));
    filter
}

pub(crate) async fn find(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> EngineResult<Option<Found>> {
    let document = unit.find_one(CONVERSATIONS, one(scope, id), Cut::default()).await?;
    document.as_ref().map(conversation_of).transpose()
}

/// The conversation with its head looked up where ours does not hold.
async fn with_head(unit: &mut Unit<'_>, scope: &Scope, found: Found) -> EngineResult<Conversation> {
    let mut conversation = found.conversation;
    if found.head_is_newest {
        let newest = unit
            .find_one(
                MESSAGES,
                messages::all_of(scope, &conversation.id),
                Cut::sorted(doc! { "_id": -1 }, 1).only(doc! { "messageId": 1 }),
            )
            .await?;
        conversation.head = match &newest {
            Some(newest) => Fields(newest).parsed("messageId").ok(),
            None => None,
        };
    }
    Ok(conversation)
}

/// Reads one.
pub(crate) async fn read(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> Outcome<Option<Conversation>> {
    match find(unit, scope, id).await? {
        Some(found) => Ok(Some(with_head(unit, scope, found).await?)),
        None => Ok(None),
    }
}

/// Lists a page. What another program stored under an id that is none is left out.
pub(crate) async fn list(
    unit: &mut Unit<'_>,
    scope: &Scope,
    query: &ConversationQuery,
) -> Outcome<ConversationPage> {
    let limit = page_rows(query.limit);
    let mut filter = owned(scope);
    // Old documents have no flag at all; two ranges of one index are merged in order.
    let archived = if query.archived {
        doc! { "$eq": true }
    } else {
        doc! { "$in": [false, null] }
    };
    filter.insert("isArchived", archived);
    if let Some(after) = &query.after {
        let at = time(after.updated_at);
        filter.insert("updatedAt", doc! { "$lte": at.clone() });
        filter.insert(
            "$or",
            vec![
                doc! { "updatedAt": { "$lt": at.clone() } },
                doc! { "updatedAt": at, "conversationId": { "$lt": after.id.as_str() } },
            ],
        );
    }
    if let Some(wanted) = &query.title_contains {
        // `$toLower` folds ASCII only, which is what the port asks for.
        let wanted = doc! { "$literal": wanted.to_ascii_lowercase() };
        let place = doc! { "$indexOfBytes": [{ "$toLower": "$title" }, wanted] };
        filter.insert("$expr", doc! { "$gte": [place, 0] });
    }
    let cut = Cut::sorted(doc! { "updatedAt": -1, "conversationId": -1 }, limit.saturating_add(1));
    let documents = unit.find(CONVERSATIONS, filter, cut.only(doc! { "messages": 0 })).await?;
    let page_len = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = documents.len() > page_len;
    let mut conversations = Vec::with_capacity(documents.len().min(page_len));
    for document in documents.iter().take(page_len) {
        match conversation_of(document) {
            Ok(found) => conversations.push(with_head(unit, scope, found).await?),
            Err(_) => tracing::warn!("a conversation without a valid id was left out"),
        }
    }
    let next = conversations
        .last()
        .filter(|_| is_cut)
        .map(|last| ConversationCursor { updated_at: last.updated_at, id: last.id.clone() });
    Ok(ConversationPage { conversations, next })
}

/// Changes one and returns it as it is now.
pub(crate) async fn patch(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
    patch: &ConversationPatch,
    now: Timestamp,
) -> Outcome<Conversation> {
    const OPERATION: &str = "patch conversation";
    let Some(found) = find(unit, scope, id).await? else {
        let detail = format!("there is no conversation {id}");
        return refused(PersistErrorKind::NotFound, OPERATION, detail);
    };
    if let Change::Set(head) = &patch.head
        && !messages::is_there(unit, scope, id, head).await?
    {
        let detail = format!("message {head} is not in conversation {id}");
        return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
    }
    let object_id = found.object_id;
    let before = with_head(unit, scope, found).await?;
    if patch.is_empty() {
        return Ok(before);
    }
    let mut after = before.clone();
    patch.apply(&mut after, now);
    let update = patched_fields(&before, &after)?;
    unit.update_one(CONVERSATIONS, doc! { "_id": object_id, "user": scope.user.as_str() }, update)
        .await?;
    if before.expires_at != after.expires_at {
        let expiry = doc! {
            "expiredAt": after.expires_at.map(time),
            "isTemporary": after.expires_at.is_some(),
        };
        let of_it = messages::all_of(scope, id);
        unit.update_many(MESSAGES, of_it, doc! { "$set": expiry }).await?;
    }
    Ok(after)
}

/// Writes `if_new` unless the scope has the conversation, and moves its head to `head` at `now`.
pub(crate) async fn touch_for_turn(
    unit: &mut Unit<'_>,
    scope: &Scope,
    if_new: &Conversation,
    head: &MessageId,
    now: Timestamp,
) -> Outcome<Touched> {
    let update = doc! { "$set": {
        "updatedAt": time(now),
        "chatRuntime.writtenAt": time(now),
        "chatRuntime.head": head.as_str(),
    } };
    let fields = Some(doc! { "expiredAt": 1 });
    let touched =
        unit.find_one_and_update(CONVERSATIONS, one(scope, &if_new.id), update, fields).await?;
    if let Some(touched) = touched {
        return Ok(Touched::of(&touched)?);
    }
    let new = Conversation { head: Some(head.clone()), updated_at: now, ..if_new.clone() };
    insert(unit, scope, &new).await?;
    Ok(Touched { expires_at: new.expires_at })
}

/// Writes a new one as it is.
pub(crate) async fn insert(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &Conversation,
) -> Outcome<()> {
    let document = new_conversation(scope, unit.object_ids.next(None), conversation)?;
    unit.insert_one(CONVERSATIONS, &document).await?;
    Ok(())
}

/// When the time of a stored conversation is over; none if there is no such conversation.
pub(crate) async fn touched(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> Outcome<Option<Touched>> {
    let cut = Cut::default().only(doc! { "expiredAt": 1 });
    let found = unit.find_one(CONVERSATIONS, one(scope, id), cut).await?;
    Ok(found.as_ref().map(Touched::of).transpose()?)
}

/// Stamps a conversation with `now`; its head becomes `to` if it is still `from`, or if LibreChat
/// has written since, when the newest message is the head anyway. None if there is no such
/// conversation.
pub(crate) async fn move_head(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
    from: &MessageId,
    to: Option<&MessageId>,
    now: Timestamp,
) -> Outcome<Option<Touched>> {
    let to = to.map_or(Bson::from("$$REMOVE"), |to| Bson::from(to.as_str()));
    let is_from = doc! { "$eq": ["$chatRuntime.head", from.as_str()] };
    let is_void = doc! { "$ne": ["$chatRuntime.writtenAt", "$updatedAt"] };
    let head = doc! { "$cond": [{ "$or": [is_from, is_void] }, to, "$chatRuntime.head"] };
    let stages = vec![doc! { "$set": {
        "chatRuntime.head": head,
        "chatRuntime.writtenAt": time(now),
        "updatedAt": time(now),
    } }];
    let fields = Some(doc! { "expiredAt": 1 });
    let moved = unit.find_one_and_update(CONVERSATIONS, one(scope, id), stages, fields).await?;
    Ok(moved.as_ref().map(Touched::of).transpose()?)
}

/// The head this store has set, if it holds.
pub(crate) async fn own_head(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> Outcome<Option<MessageId>> {
    Ok(find(unit, scope, id).await?.and_then(|found| found.conversation.head))
}

/// Sets the head without a stamp: a subtree went, which changes nothing else.
pub(crate) async fn correct_head(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
    to: Option<&MessageId>,
) -> Outcome<()> {
    let update = match to {
        Some(to) => doc! { "$set": { "chatRuntime.head": to.as_str() } },
        None => doc! { "$unset": { "chatRuntime.head": "" } },
    };
    unit.update_one(CONVERSATIONS, one(scope, id), update).await?;
    Ok(())
}

/// Writes to the conversation's document, so that a deletion and a turn that is accepted meanwhile
/// meet there: one of the two runs again and sees what the other did.
pub(crate) async fn lock_tree(
    unit: &mut Unit<'_>,
    scope: &Scope,
    id: &ConversationId,
) -> Outcome<()> {
    let update = doc! { "$inc": { "chatRuntime.deletions": 1_i64 } };
    unit.update_one(CONVERSATIONS, one(scope, id), update).await?;
    Ok(())
}

/// Conversations of all scopes after `after`, in the order of tenant, user and id.
pub(crate) async fn scan(
    unit: &mut Unit<'_>,
    after: Option<&(Scope, ConversationId)>,
    limit: u32,
) -> Outcome<Vec<(Scope, Conversation)>> {
    let after = after.map(|(scope, id)| Position {
        tenant: &scope.tenant,
        user: Bson::from(scope.user.as_str()),
        id: id.as_str(),
    });
    let documents = scanned_after(unit, CONVERSATIONS, "conversationId", after, limit).await?;
    let mut scanned = Vec::with_capacity(documents.len());
    for document in &documents {
        let scope = scope_of(document)?;
        let found = conversation_of(document)?;
        let conversation = with_head(unit, &scope, found).await?;
        scanned.push((scope, conversation));
    }
    Ok(scanned)
}
