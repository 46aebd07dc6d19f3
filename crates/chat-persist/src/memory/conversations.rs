//! Conversations: read, list, change, delete.

use chat_types::{Change, Conversation, ConversationId, ConversationPatch, Scope, Timestamp};

use crate::{ConversationCursor, ConversationPage, ConversationQuery, PersistErrorKind, Result};

use super::{Space, State, page_rows, refused};

impl State {
    pub(super) fn conversation(&self, scope: &Scope, id: &ConversationId) -> Option<Conversation> {
        let row = self.spaces.get(scope)?.conversations.get(id)?;
        Some(row.conversation.clone())
    }

    pub(super) fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> ConversationPage {
        let Some(space) = self.spaces.get(scope) else {
            return ConversationPage::default();
        };
        let mut found: Vec<&Conversation> = space
            .conversations
            .values()
            .map(|row| &row.conversation)
            .filter(|conversation| matches(conversation, query))
            .collect();
        found.sort_by(|a, b| (b.updated_at, &b.id).cmp(&(a.updated_at, &a.id)));
        let limit = page_rows(query.limit);
        let is_cut = found.len() > limit;
        let conversations: Vec<Conversation> = found.into_iter().take(limit).cloned().collect();
        let next = conversations
            .last()
            .filter(|_| is_cut)
            .map(|last| ConversationCursor { updated_at: last.updated_at, id: last.id.clone() });
        ConversationPage { conversations, next }
    }

    pub(super) fn patch_conversation(
        &mut self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation> {
        const OPERATION: &str = "patch conversation";
        let space = self.spaces.entry(scope.clone()).or_default();
        if let Change::Set(head) = &patch.head
            && space.conversations.contains_key(id)
            && space.message_of(id, head).is_none()
        {
            let detail = format!("message {head} is not in conversation {id}");
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        let Some(row) = space.conversations.get_mut(id) else {
            let detail = format!("there is no conversation {id}");
            return refused(PersistErrorKind::NotFound, OPERATION, detail);
        };
        patch.apply(&mut row.conversation, now);
        Ok(row.conversation.clone())
    }

    pub(super) fn delete_conversation(
        &mut self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<bool> {
        const OPERATION: &str = "delete conversation";
        if self.conversation(scope, id).is_none() {
            return Ok(false);
        }
        if self.is_busy(scope, id) {
            let detail = format!("a turn of conversation {id} is running or not yet settled");
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        self.remove_conversation(scope, id);
        Ok(true)
    }

    /// One of its turns is running, or has a step whose amounts the ledger may not have yet.
    pub(super) fn is_busy(&self, scope: &Scope, id: &ConversationId) -> bool {
        self.turns.values().any(|turn| {
            turn.scope == *scope
                && turn.record.turn.conversation == *id
                && (turn.is_running() || turn.has_unsettled_steps())
        })
    }

    /// Removes it with everything that belongs to it.
    pub(super) fn remove_conversation(&mut self, scope: &Scope, id: &ConversationId) {
        self.turns.retain(|_, turn| turn.scope != *scope || turn.record.turn.conversation != *id);
        let turns = &self.turns;
        if let Some(Space { conversations, messages, keys, .. }) = self.spaces.get_mut(scope) {
            conversations.remove(id);
            messages.retain(|_, row| row.message.conversation != *id);
            keys.retain(|_, turn| turns.contains_key(&(scope.tenant.clone(), turn.clone())));
        }
    }
}

fn matches(conversation: &Conversation, query: &ConversationQuery) -> bool {
    let is_after = query.after.as_ref().is_none_or(|cursor| {
        (conversation.updated_at, &conversation.id) < (cursor.updated_at, &cursor.id)
    });
    let has_title = query.title_contains.as_ref().is_none_or(|wanted| {
        conversation.title.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase())
    });
    is_after && has_title && conversation.archived == query.archived
}
