//! A conversation's own data, and the one way to change it.

use serde::{Deserialize, Serialize};

use crate::{ConversationId, MessageId, ModelOptions, ModelRef, Timestamp};

/// What is kept of a conversation besides its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Names it.
    pub id: ConversationId,
    /// Shown in lists; the first line of the first message until something better is set.
    pub title: String,
    /// When the first message was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The leaf last written: where the next message goes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<MessageId>,
    /// The model chosen for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// Standing instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Options kept for every turn.
    #[serde(default)]
    pub options: ModelOptions,
    /// Hidden from ordinary lists.
    #[serde(default)]
    pub archived: bool,
    /// When it is deleted by itself; none for ordinary conversations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Conversation {
    /// A new, empty conversation.
    #[must_use]
    pub fn new(id: ConversationId, title: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id,
            title: title.into(),
            created_at: now,
            updated_at: now,
            head: None,
            model: None,
            instructions: None,
            options: ModelOptions::default(),
            archived: false,
            expires_at: None,
        }
    }
}

/// What happens to one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", content = "to", rename_all = "snake_case")]
pub enum Change<T> {
    /// Stays as it is.
    #[default]
    Keep,
    /// Gets this value.
    Set(T),
    /// Goes back to having none.
    Unset,
}

impl<T: Clone> Change<T> {
    fn apply(&self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *field = Some(value.clone()),
            Self::Unset => *field = None,
        }
    }

    /// Nothing is asked for.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// A change to a conversation: each field kept, set or unset, never by omission.
///
/// Ids, times and messages cannot be named here, so they cannot be overwritten by accident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConversationPatch {
    /// The title; unset goes back to an empty one.
    pub title: Change<String>,
    /// The model.
    pub model: Change<ModelRef>,
    /// Standing instructions.
    pub instructions: Change<String>,
    /// All options at once; unset goes back to the provider's defaults.
    pub options: Change<ModelOptions>,
    /// The leaf that the next message follows.
    pub head: Change<MessageId>,
    /// Hidden or not; unset means not.
    pub archived: Change<bool>,
    /// When it deletes itself; unset means never.
    pub expires_at: Change<Timestamp>,
}

impl ConversationPatch {
    /// Changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies every change and stamps the time, unless there is nothing to do.
    pub fn apply(&self, conversation: &mut Conversation, now: Timestamp) {
        if self.is_empty() {
            return;
        }
        let mut title = Some(std::mem::take(&mut conversation.title));
        self.title.apply(&mut title);
        conversation.title = title.unwrap_or_default();
        self.model.apply(&mut conversation.model);
        self.instructions.apply(&mut conversation.instructions);
        let mut options = Some(std::mem::take(&mut conversation.options));
        self.options.apply(&mut options);
        conversation.options = options.unwrap_or_default();
        self.head.apply(&mut conversation.head);
        let mut archived = Some(conversation.archived);
        self.archived.apply(&mut archived);
        conversation.archived = archived.unwrap_or_default();
        self.expires_at.apply(&mut conversation.expires_at);
        conversation.updated_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_unsets_and_keeps() {
        let now = Timestamp::from_unix_ms(1);
        let id = ConversationId::new("c").expect("valid");
        let mut conversation = Conversation::new(id, "old", now);
        conversation.instructions = Some("be kind".into());
        conversation.archived = true;
        let patch = ConversationPatch {
            title: Change::Set("new".into()),
            instructions: Change::Unset,
            ..ConversationPatch::default()
        };
        patch.apply(&mut conversation, Timestamp::from_unix_ms(2));
        assert_eq!(conversation.title, "new");
        assert_eq!(conversation.instructions, None);
        assert!(conversation.archived, "what is not named is kept");
        assert_eq!(conversation.updated_at, Timestamp::from_unix_ms(2));
    }

    #[test]
    fn an_empty_patch_changes_not_even_the_time() {
        let now = Timestamp::from_unix_ms(1);
        let id = ConversationId::new("c").expect("valid");
        let mut conversation = Conversation::new(id, "t", now);
        let before = conversation.clone();
        ConversationPatch::default().apply(&mut conversation, Timestamp::from_unix_ms(9));
        assert_eq!(conversation, before);
    }
}
