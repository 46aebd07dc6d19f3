//! Where the messages of an edit, a regeneration or a continuation go.
//!
//! All three make siblings: what was there stays as it is. Each needs only the one message that
//! is named, so no tree has to be loaded to answer. Not here: writing anything.

use chat_types::{ContentPart, Message, MessageId, Role};

use crate::ThreadError;

/// Where a new sibling hangs and what it starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parent of the new message; none: a new root.
    pub parent: Option<MessageId>,
    /// What the new message starts with; empty unless it continues another.
    pub kept: Vec<ContentPart>,
}

impl Place {
    /// A changed user message: a sibling of `old`.
    ///
    /// # Errors
    /// `NotAUserMessage` if somebody else speaks in `old`.
    pub fn of_edit(old: &Message) -> Result<Self, ThreadError> {
        if old.role != Role::User {
            return Err(ThreadError::NotAUserMessage);
        }
        Ok(Self { parent: old.parent.clone(), kept: Vec::new() })
    }

    /// Another reply to what `old` answers: a sibling of `old`.
    ///
    /// # Errors
    /// `NotAReply` if `old` is not the model's; `NothingToAnswer` if it is a root.
    pub fn of_regenerate(old: &Message) -> Result<Self, ThreadError> {
        Ok(Self { parent: Some(answered_by(old)?), kept: Vec::new() })
    }

    /// A reply that goes on from `old`: a sibling that starts with its parts.
    ///
    /// # Errors
    /// As for [`Place::of_regenerate`].
    pub fn of_continue(old: &Message) -> Result<Self, ThreadError> {
        Ok(Self { parent: Some(answered_by(old)?), kept: old.parts.clone() })
    }
}

fn answered_by(reply: &Message) -> Result<MessageId, ThreadError> {
    if reply.role != Role::Assistant {
        return Err(ThreadError::NotAReply);
    }
    reply.parent.clone().ok_or(ThreadError::NothingToAnswer)
}
