//! Copies part of a tree into a conversation of its own.
//!
//! Every copy has a new id, parents precede children, and no copy is older than its parent, so
//! the result can be stored in order as it is. Counts and summaries are copied too; nothing has
//! to be counted or summarised again. Not here: storing it.

use std::collections::{HashMap, HashSet};

use chat_types::{
    ContentPart, ConversationId, IdSource, IdSourceExt as _, Message, MessageId, Summary, Timestamp,
};

use crate::{MessageThread, ThreadError};

/// Which messages are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ForkMode {
    /// The path to the target and nothing beside it.
    DirectPath,
    /// The path to the target, and every message that hangs on it but what follows the target.
    IncludeBranches,
    /// Every message of every branch down to the target's level.
    #[default]
    TargetLevel,
}

/// What to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkRequest<'a> {
    /// Which messages.
    pub mode: ForkMode,
    /// The message to fork at: the last one on the copied path.
    pub target: &'a MessageId,
    /// Splits there: levels above this message are left out and its level becomes the roots. The
    /// target is then usually the newest message.
    pub split_at: Option<&'a MessageId>,
}

/// The copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// Parents before children, every one in the new conversation.
    pub messages: Vec<Message>,
    /// The copy of the target.
    pub head: MessageId,
    /// New ids by old ones.
    pub new_ids: HashMap<MessageId, MessageId>,
}

impl MessageThread {
    /// Copies what `request` names into `conversation`; the thread itself stays as it is.
    ///
    /// Copies keep roles, parts, counts and times; a time is moved to at least 1 ms after the
    /// parent's. They belong to no turn. A summary names the copy of the message that it covers
    /// up to; if that was not copied, or for one that is kept with a message if levels above were
    /// split off, the summary is left out, since it would bring back what the fork leaves behind.
    /// Forking twice makes two independent copies. Linear in the thread.
    ///
    /// # Errors
    /// `NotFound` if the target or the split is unknown; `ForkEndsBeforeStart` if the target lies
    /// above the split's level; `InvalidNewId` if `ids` made a text that is no id.
    pub fn fork(
        &self,
        request: ForkRequest<'_>,
        ids: &dyn IdSource,
        conversation: &ConversationId,
    ) -> Result<Fork, ThreadError> {
        let target = self.node(request.target).ok_or(ThreadError::NotFound)?;
        let first_level = match request.split_at {
            Some(split) => self.node(split).ok_or(ThreadError::NotFound)?.level,
            None => 0,
        };
        if target.level < first_level {
            return Err(ThreadError::ForkEndsBeforeStart);
        }
        let on_path: HashSet<&MessageId> =
            self.ancestors(Some(request.target)).map(|message| &message.id).collect();
        let hangs_on_path = |message: &Message| {
            message
                .parent
                .as_ref()
                .is_some_and(|parent| parent != request.target && on_path.contains(parent))
        };
        let chosen = self.nodes.iter().filter(|node| {
            node.level >= first_level
                && match request.mode {
                    ForkMode::DirectPath => on_path.contains(&node.message.id),
                    ForkMode::IncludeBranches => {
                        on_path.contains(&node.message.id) || hangs_on_path(&node.message)
                    }
                    ForkMode::TargetLevel => node.level <= target.level,
                }
        });
        let mut copier = Copier {
            conversation,
            from_the_root: first_level == 0,
            copied: HashMap::new(),
            messages: Vec::new(),
        };
        for node in chosen {
            copier.copy(&node.message, ids)?;
        }
        copier.finish(request.target)
    }
}

struct Copier<'a> {
    conversation: &'a ConversationId,
    /// No level above the copies is left out.
    from_the_root: bool,
    copied: HashMap<&'a MessageId, (MessageId, Timestamp)>,
    messages: Vec<Message>,
}

impl<'a> Copier<'a> {
    fn copy(&mut self, message: &'a Message, ids: &dyn IdSource) -> Result<(), ThreadError> {
        let id = ids.message_id().map_err(ThreadError::InvalidNewId)?;
        // A parent that is not copied (yet) makes a root: this is also what ends cycles.
        let parent = message.parent.as_ref().and_then(|old| self.copied.get(old));
        let created_at = match parent {
            Some((_, parent_created_at)) => message.created_at.max(parent_created_at.plus_ms(1)),
            None => message.created_at,
        };
        let copy = Message {
            id: id.clone(),
            conversation: self.conversation.clone(),
            parent: parent.map(|(parent, _)| parent.clone()),
            role: message.role,
            parts: message.parts.clone(),
            created_at,
            turn: None,
            model: message.model.clone(),
            status: message.status,
            finish_reason: message.finish_reason,
            token_counts: message.token_counts.clone(),
            summary: self.summary_of(message, &id),
        };
        self.copied.insert(&message.id, (id, created_at));
        self.messages.push(copy);
        Ok(())
    }

    /// What is kept with `message` covers everything above it, so it must all be copied.
    fn summary_of(&self, message: &Message, copy: &MessageId) -> Option<Summary> {
        let summary = message.summary.as_ref().filter(|_| self.from_the_root)?;
        Some(Summary { covers_to: copy.clone(), ..summary.clone() })
    }

    fn finish(mut self, target: &MessageId) -> Result<Fork, ThreadError> {
        for message in &mut self.messages {
            let copied = &self.copied;
            let parts_before = message.parts.len();
            message.parts.retain_mut(|part| match part {
                ContentPart::Summary { summary } => match copied.get(&summary.covers_to) {
                    Some((copy, _)) => {
                        summary.covers_to = copy.clone();
                        true
                    }
                    None => false,
                },
                _ => true,
            });
            if message.parts.len() != parts_before {
                // The counts were of more than is left.
                message.token_counts.clear();
            }
        }
        let head = self.copied.get(target).ok_or(ThreadError::NotFound)?;
        Ok(Fork {
            head: head.0.clone(),
            new_ids: self
                .copied
                .iter()
                .map(|(old, (new, _))| ((*old).clone(), new.clone()))
                .collect(),
            messages: self.messages,
        })
    }
}
