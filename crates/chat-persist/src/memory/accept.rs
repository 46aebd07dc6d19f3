//! Accepting a turn: what was asked before is found again, what is new is checked, then written.

use std::collections::BTreeMap;

use chat_types::{MessageId, Role, Scope, TurnState};

use crate::{Accept, Accepted, PersistErrorKind, Result, TurnRecord};

use super::journal::follows;
use super::{ConversationRow, Space, State, TurnRow, refused};

impl State {
    pub(super) fn accept(&mut self, scope: &Scope, accept: &Accept) -> Result<Accepted> {
        const OPERATION: &str = "accept turn";
        let turn = &accept.turn;
        if let Some(found) = self.earlier(scope, accept)? {
            return Ok(Accepted::Existing(Box::new(found)));
        }
        let is_consistent = accept.conversation.id == turn.conversation
            && turn.reply != turn.user_message
            && accept.user_message.as_ref().is_none_or(|message| {
                message.conversation == turn.conversation && message.id == turn.user_message
            });
        if !is_consistent {
            let detail = format!("the ids of turn {} do not fit together", turn.id);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        follows(&accept.segment, 0, OPERATION)?;
        let space = self.spaces.entry(scope.clone()).or_default();
        space.check_place(accept)?;

        let row = space.conversations.entry(turn.conversation.clone()).or_insert_with(|| {
            ConversationRow { conversation: accept.conversation.clone(), order: BTreeMap::new() }
        });
        row.conversation.head = Some(turn.reply.clone());
        row.conversation.updated_at = turn.created_at;
        if let Some(message) = &accept.user_message {
            space.insert(message.clone());
        }
        space.unfinished.insert(turn.reply.clone(), turn.conversation.clone());
        if let Some(key) = &turn.idempotency_key {
            space.keys.insert(key.clone(), turn.id.clone());
        }
        let row = TurnRow {
            scope: scope.clone(),
            owner: turn.owner.clone(),
            record: TurnRecord {
                turn: turn.clone(),
                state: TurnState::Accepted,
                epoch: 1,
                stop_requested: false,
                last_seq: accept.segment.last_seq,
                failure: None,
                closed_at: None,
                steps: Vec::new(),
            },
            steps: BTreeMap::new(),
            segments: vec![accept.segment.clone()],
            log_expired: false,
        };
        self.turns.insert((scope.tenant.clone(), turn.id.clone()), row);
        Ok(Accepted::New)
    }

    /// The turn that an earlier, equal request made: by its key, or by being the very same turn.
    fn earlier(&self, scope: &Scope, accept: &Accept) -> Result<Option<TurnRecord>> {
        const OPERATION: &str = "accept turn";
        let turn = &accept.turn;
        let by_key = turn
            .idempotency_key
            .as_ref()
            .and_then(|key| self.spaces.get(scope)?.keys.get(key))
            .and_then(|id| self.turn(scope, id));
        if let Some(found) = by_key {
            if found.record.turn.request_hash == turn.request_hash {
                return Ok(Some(found.to_record()));
            }
            let detail = "the idempotency key stands for another request";
            return refused(PersistErrorKind::IdempotencyConflict, OPERATION, detail);
        }
        match self.turns.get(&(scope.tenant.clone(), turn.id.clone())) {
            None => Ok(None),
            Some(found) if found.scope == *scope && found.record.turn == *turn => {
                Ok(Some(found.to_record()))
            }
            Some(_) => {
                let detail = format!("turn id {} is taken", turn.id);
                refused(PersistErrorKind::Conflict, OPERATION, detail)
            }
        }
    }
}

impl Space {
    /// The tree rules of a new turn, before anything is written.
    fn check_place(&self, accept: &Accept) -> Result<()> {
        const OPERATION: &str = "accept turn";
        let turn = &accept.turn;
        let Some(message) = &accept.user_message else {
            let asked = self.message_of(&turn.conversation, &turn.user_message);
            if asked.is_none_or(|row| row.message.role != Role::User) {
                let detail = format!(
                    "there is no user message {} in conversation {}",
                    turn.user_message, turn.conversation
                );
                return refused(PersistErrorKind::NotFound, OPERATION, detail);
            }
            return self.check_free(&turn.reply);
        };
        if let Some(parent) = &message.parent
            && self.message_of(&turn.conversation, parent).is_none()
        {
            if self.unfinished.get(parent) == Some(&turn.conversation) {
                let detail = format!("message {parent} is still being written");
                return refused(PersistErrorKind::ParentUnfinished, OPERATION, detail);
            }
            let detail = format!("message {parent} is not in conversation {}", turn.conversation);
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        self.check_free(&message.id)?;
        self.check_free(&turn.reply)
    }

    fn check_free(&self, id: &MessageId) -> Result<()> {
        if self.is_free(id) {
            return Ok(());
        }
        refused(PersistErrorKind::Conflict, "accept turn", format!("message id {id} is taken"))
    }
}
