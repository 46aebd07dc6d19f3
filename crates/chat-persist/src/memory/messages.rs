//! Messages: the tree of a conversation, read by branch and by order, imported and pruned.

use std::collections::HashSet;

use chat_types::{
    BranchPage, Conversation, ConversationId, Message, MessageId, Scope, Summary, TokenCount,
};

use crate::{MessagePage, PersistErrorKind, Result};

use super::{ConversationRow, MessageRow, PAGE_ROWS_MAX, Space, State, refused};

impl Space {
    /// Writes a message whose checks have passed as the newest of its conversation.
    pub(super) fn insert(&mut self, message: Message) {
        if let Some(row) = self.conversations.get_mut(&message.conversation) {
            let rank = row.order.last_key_value().map_or(0, |(rank, _)| rank.saturating_add(1));
            row.order.insert(rank, message.id.clone());
            self.messages.insert(message.id.clone(), MessageRow { message, rank });
        }
    }

    /// No message has this id and no running turn will write one.
    pub(super) fn is_free(&self, id: &MessageId) -> bool {
        !self.messages.contains_key(id) && !self.unfinished.contains_key(id)
    }
}

impl State {
    pub(super) fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Option<Message> {
        let row = self.spaces.get(scope)?.message_of(conversation, id)?;
        Some(row.message.clone())
    }

    pub(super) fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage> {
        let row_of =
            |id: &MessageId| self.spaces.get(scope).and_then(|s| s.message_of(conversation, id));
        let Some(mut row) = row_of(head) else {
            let detail = format!("message {head} is not in conversation {conversation}");
            return refused(PersistErrorKind::NotFound, "read branch", detail);
        };
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut seen = HashSet::from([head.clone()]);
        let mut messages = vec![row.message.clone()];
        loop {
            let parent = row.message.parent.as_ref().filter(|id| seen.insert((*id).clone()));
            let Some((parent, parent_row)) = parent.and_then(|id| Some((id, row_of(id)?))) else {
                return Ok(BranchPage { messages, next: None });
            };
            if messages.len() == limit {
                return Ok(BranchPage { messages, next: Some(parent.clone()) });
            }
            messages.push(parent_row.message.clone());
            row = parent_row;
        }
    }

    pub(super) fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage> {
        let Some(space) = self.spaces.get(scope) else {
            return Ok(MessagePage::default());
        };
        let Some(row) = space.conversations.get(conversation) else {
            return Ok(MessagePage::default());
        };
        let first_rank = match after.map(|id| (id, space.message_of(conversation, id))) {
            None => 0,
            Some((_, Some(last_seen))) => last_seen.rank.saturating_add(1),
            Some((id, None)) => {
                let detail = format!("message {id} is not in conversation {conversation}");
                return refused(PersistErrorKind::NotFound, "read messages", detail);
            }
        };
        let mut rest = row.order.range(first_rank..).filter_map(|(_, id)| space.messages.get(id));
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let messages: Vec<Message> =
            rest.by_ref().take(limit).map(|row| row.message.clone()).collect();
        let next = rest.next().and_then(|_| messages.last()).map(|last| last.id.clone());
        Ok(MessagePage { messages, next })
    }

    pub(super) fn import(
        &mut self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()> {
        const OPERATION: &str = "import conversation";
        let space = self.spaces.entry(scope.clone()).or_default();
        let mut arriving: HashSet<&MessageId> = HashSet::new();
        let mut new: Vec<&Message> = Vec::new();
        let mut summaries: Vec<(&MessageId, &Summary)> = Vec::new();
        for message in messages {
            let is_here = |id: &MessageId| {
                arriving.contains(id) || space.message_of(&conversation.id, id).is_some()
            };
            if message.conversation != conversation.id {
                let detail = format!("message {} belongs to another conversation", message.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
            if message.parent.as_ref().is_some_and(|parent| !is_here(parent)) {
                let detail = format!("message {} comes before its parent", message.id);
                return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
            }
            let stored = space.messages.get(&message.id).map(|row| &row.message);
            if let Some(stored) = stored.filter(|stored| stored.is_same_content(message)) {
                let arriving = message.summary.as_ref().filter(|_| stored.summary.is_none());
                summaries.extend(arriving.map(|summary| (&message.id, summary)));
                continue;
            }
            if !space.is_free(&message.id) || !arriving.insert(&message.id) {
                let detail = format!("message id {} is taken", message.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
            new.push(message);
        }
        if let Some(head) = &conversation.head
            && !space.conversations.contains_key(&conversation.id)
            && !arriving.contains(head)
        {
            let detail = format!("the head {head} is not among the messages");
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        space.conversations.entry(conversation.id.clone()).or_insert_with(|| ConversationRow {
            conversation: conversation.clone(),
            order: std::collections::BTreeMap::new(),
        });
        for message in new {
            space.insert(message.clone());
        }
        for (id, summary) in summaries {
            if let Some(row) = space.messages.get_mut(id) {
                row.message.summary.get_or_insert_with(|| summary.clone());
            }
        }
        Ok(())
    }

    pub(super) fn keep_token_counts(
        &mut self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) {
        let Some(space) = self.spaces.get_mut(scope) else {
            return;
        };
        for (id, count) in counts {
            if let Some(row) = space.messages.get_mut(id)
                && row.message.conversation == *conversation
                && row.message.token_count(&count.tokenizer).is_none()
            {
                row.message.token_counts.push(count.clone());
            }
        }
    }

    pub(super) fn keep_summary(
        &mut self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()> {
        let row = self
            .spaces
            .get_mut(scope)
            .and_then(|space| space.messages.get_mut(&summary.covers_to))
            .filter(|row| row.message.conversation == *conversation);
        let Some(row) = row else {
            let detail =
                format!("message {} is not in conversation {conversation}", summary.covers_to);
            return refused(PersistErrorKind::NotFound, "keep summary", detail);
        };
        row.message.summary = Some(summary.clone());
        Ok(())
    }

    pub(super) fn delete_subtree(
        &mut self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64> {
        let Some(space) = self.spaces.get(scope) else {
            return Ok(0);
        };
        let Some(top) = space.message_of(conversation, message) else {
            return Ok(0);
        };
        let (top_rank, above) = (top.rank, top.message.parent.clone());
        let below = space.subtree(conversation, message, top_rank);
        let is_being_written = self.turns.values().any(|turn| {
            turn.scope == *scope
                && turn.is_running()
                && below.contains(&turn.record.turn.user_message)
        });
        if is_being_written {
            let detail = format!("a turn is writing below message {message}");
            return refused(PersistErrorKind::Conflict, "delete subtree", detail);
        }
        if let Some(space) = self.spaces.get_mut(scope) {
            space.messages.retain(|id, _| !below.contains(id));
            if let Some(row) = space.conversations.get_mut(conversation) {
                row.order.retain(|_, id| !below.contains(id));
                if row.conversation.head.as_ref().is_some_and(|head| below.contains(head)) {
                    row.conversation.head = above;
                }
            }
        }
        Ok(u64::try_from(below.len()).unwrap_or(u64::MAX))
    }
}

impl Space {
    /// A message and everything below it. One pass suffices: parents are written first.
    fn subtree(
        &self,
        conversation: &ConversationId,
        top: &MessageId,
        top_rank: u64,
    ) -> HashSet<MessageId> {
        let mut below = HashSet::from([top.clone()]);
        let later = self
            .conversations
            .get(conversation)
            .into_iter()
            .flat_map(|row| row.order.range(top_rank..))
            .filter_map(|(_, id)| self.messages.get(id));
        for row in later {
            if row.message.parent.as_ref().is_some_and(|parent| below.contains(parent)) {
                below.insert(row.message.id.clone());
            }
        }
        below
    }
}
