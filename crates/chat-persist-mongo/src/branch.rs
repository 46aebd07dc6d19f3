//! A page of a branch, newest first, along parent pointers.
//!
//! One query reads the newest documents of the conversation, which on most turns hold the whole
//! page; only when the branch leaves them (an older head, a sibling with many messages) the server
//! follows the pointers itself, some dozen at a time. Either way a page costs what it holds, however
//! long the conversation is.

use std::collections::{HashMap, HashSet};

use chat_persist::PersistErrorKind;
use chat_types::{BranchPage, ConversationId, Message, MessageId, Scope};
use mongodb::bson::doc;

use crate::collections::MESSAGES;

use crate::error::{EngineResult, Outcome};
use crate::messages::{Stored, all_of, is_there, readable};
use crate::refusal::{page_rows_of, refused};
use crate::unit::{Cut, Unit};

/// Messages per walk on the server: it holds them in memory, and they may be large.
const STEPS_PER_WALK: i64 = 50;

/// Reads up to `limit` messages from `head` towards the root.
pub(crate) async fn branch(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    head: &MessageId,
    limit: usize,
) -> Outcome<BranchPage> {
    let limit = usize::try_from(page_rows_of(limit)).unwrap_or(1);
    let mut walk = Walk { limit, ..Walk::from(head) };
    walk.take(newest(unit, scope, conversation, limit).await?);
    while let Some(missing) = walk.missing() {
        let rest = limit.saturating_sub(walk.messages.len());
        let above = walk_up(unit, scope, conversation, &missing, rest).await?;
        if above.is_empty() {
            break;
        }
        walk.take(above);
    }
    if walk.messages.is_empty() {
        let detail = format!("message {head} is not in conversation {conversation}");
        return refused(PersistErrorKind::NotFound, "read branch", detail);
    }
    walk.page(unit, scope, conversation).await
}

/// The newest documents, with one more so that the parent of the last is known to be there.
async fn newest(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    limit: usize,
) -> EngineResult<Vec<Stored>> {
    let limit = i64::try_from(limit).unwrap_or(1).saturating_add(1);
    let cut = Cut::sorted(doc! { "_id": -1 }, limit);
    let documents = unit.find(MESSAGES, all_of(scope, conversation), cut).await?;
    Ok(documents.iter().filter_map(readable).collect())
}

/// Follows the pointers on the server.
async fn walk_up(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    from: &MessageId,
    rest: usize,
) -> EngineResult<Vec<Stored>> {
    let steps = i64::try_from(rest).unwrap_or(STEPS_PER_WALK).clamp(1, STEPS_PER_WALK);
    let here = all_of(scope, conversation);
    let mut start = doc! { "messageId": from.as_str() };
    start.extend(here.clone());
    let stages = vec![
        doc! { "$match": start },
        doc! { "$limit": 1 },
        doc! { "$project": { "messageId": 1 } },
        doc! { "$graphLookup": {
            "from": MESSAGES,
            "startWith": "$messageId",
            "connectFromField": "parentMessageId",
            "connectToField": "messageId",
            "maxDepth": steps.saturating_sub(1),
            "restrictSearchWithMatch": here,
            "as": "above",
        } },
        doc! { "$unwind": "$above" },
        doc! { "$replaceRoot": { "newRoot": "$above" } },
    ];
    let documents = unit.aggregate(MESSAGES, stages).await?;
    Ok(documents.iter().filter_map(readable).collect())
}

/// A walk along parent pointers through the documents read so far.
struct Walk {
    limit: usize,
    known: HashMap<MessageId, Stored>,
    seen: HashSet<MessageId>,
    messages: Vec<Message>,
    last_is_ours: bool,
    next: Option<MessageId>,
}

impl Walk {
    fn from(head: &MessageId) -> Self {
        Self {
            limit: 0,
            known: HashMap::new(),
            seen: HashSet::from([head.clone()]),
            messages: Vec::new(),
            last_is_ours: true,
            next: Some(head.clone()),
        }
    }

    /// Goes on through what is known and `stored`. A message seen before ends the walk.
    fn take(&mut self, stored: Vec<Stored>) {
        self.known.extend(stored.into_iter().map(|stored| (stored.message.id.clone(), stored)));
        while self.messages.len() < self.limit
            && let Some(stored) = self.next.as_ref().and_then(|next| self.known.remove(next))
        {
            let parent = stored.message.parent.clone();
            self.next = parent.filter(|parent| self.seen.insert(parent.clone()));
            self.last_is_ours = stored.is_ours;
            self.messages.push(stored.message);
        }
    }

    /// The message that is needed next and not known.
    fn missing(&self) -> Option<MessageId> {
        self.next.clone().filter(|_| self.messages.len() < self.limit)
    }

    /// The page; a parent that is nowhere makes the last message a root.
    async fn page(
        mut self,
        unit: &mut Unit<'_>,
        scope: &Scope,
        conversation: &ConversationId,
    ) -> Outcome<BranchPage> {
        let is_lost = match &self.next {
            None => false,
            Some(_) if self.messages.len() < self.limit => true,
            Some(next) => {
                !self.last_is_ours
                    && !self.known.contains_key(next)
                    && !is_there(unit, scope, conversation, next).await?
            }
        };
        if is_lost {
            self.next = None;
            if let Some(last) = self.messages.last_mut().filter(|_| !self.last_is_ours) {
                last.parent = None;
            }
        }
        Ok(BranchPage { messages: self.messages, next: self.next })
    }
}
