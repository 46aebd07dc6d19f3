//! Why the tree refuses.

use chat_types::InvalidId;

/// What the tree refuses; the same input is refused the same way every time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadError {
    /// No such message in this thread.
    #[error("no such message in this conversation")]
    NotFound,
    /// The message's parent is not in this thread.
    #[error("the parent is no message of this conversation")]
    UnknownParent,
    /// A message with this id is here already.
    #[error("a message with this id is already there")]
    DuplicateId,
    /// The message belongs to another conversation.
    #[error("the message belongs to another conversation")]
    ForeignConversation,
    /// Only a user's message can be edited.
    #[error("only a user's message can be edited")]
    NotAUserMessage,
    /// Only a reply can be regenerated or continued.
    #[error("only a reply can be regenerated or continued")]
    NotAReply,
    /// The reply answers nothing, so there is nothing to answer again.
    #[error("the reply answers no message")]
    NothingToAnswer,
    /// The message to fork at does not lie at or below the level the fork starts at.
    #[error("the fork would end before it starts")]
    ForkEndsBeforeStart,
    /// The source of ids made a text that is no id.
    #[error("the new id is not valid")]
    InvalidNewId(#[source] InvalidId),
}

impl ThreadError {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "message_not_found",
            Self::UnknownParent => "unknown_parent",
            Self::DuplicateId => "duplicate_message",
            Self::ForeignConversation => "foreign_conversation",
            Self::NotAUserMessage => "not_a_user_message",
            Self::NotAReply => "not_a_reply",
            Self::NothingToAnswer => "nothing_to_answer",
            Self::ForkEndsBeforeStart => "fork_ends_before_start",
            Self::InvalidNewId(_) => "invalid_new_id",
        }
    }

    /// Never: a refusal does not change by asking again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}
