//! Why a call to the conductor was refused or failed before there was a turn to tell it.
//!
//! What goes wrong after a turn was accepted is not an error of a call: the turn ends with a
//! `TurnFailure`. Codes are shared by both.

use chat_balance::Refusal;
use chat_context::ContextError;
use chat_persist::PersistError;
use chat_provider::{ProviderError, UnknownModel};
use chat_types::{ConversationId, FileId, InvalidId, MessageId, TurnFailure};
use chat_usage::UsageError;

/// A refused or failed call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The message has nothing in it.
    #[error("the message is empty")]
    EmptyMessage,
    /// The message is larger than the limit.
    #[error("the message has {bytes} bytes, more than the {bytes_max} allowed")]
    MessageTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The scope has no such conversation.
    #[error("there is no conversation {conversation}")]
    UnknownConversation {
        /// What was asked for.
        conversation: ConversationId,
    },
    /// The conversation has no such message.
    #[error("there is no message {message} in this conversation")]
    UnknownMessage {
        /// What was asked for.
        message: MessageId,
    },
    /// The message cannot be used that way, for example an edit of a reply.
    #[error("message {message} cannot be used here: {reason}")]
    WrongMessage {
        /// Which message.
        message: MessageId,
        /// Why not.
        reason: String,
    },
    /// The message carries a file that the scope does not have.
    #[error("there is no file {file}")]
    UnknownFile {
        /// What was named.
        file: FileId,
    },
    /// The client keeps no files.
    #[error("this client keeps no files: give it a library when it is built")]
    NoFiles,
    /// A file cannot be kept or read.
    #[error(transparent)]
    File(#[from] chat_context::attachments::FileError),
    /// No provider serves the model.
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    /// No provider is configured.
    #[error("no model provider is configured")]
    NoProvider,
    /// An id source made an invalid id, or an id of the request is invalid.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The process is ending and takes no new turns.
    #[error("this process is shutting down and takes no new turns")]
    Draining,
    /// As many turns run as are allowed.
    #[error("{turns_max} turns are running, no more are taken")]
    Overloaded {
        /// The limit.
        turns_max: usize,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] PersistError),
    /// The prompt could not be built.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Metering refused or failed.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The provider refused or failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The ledger refused or failed.
    #[error(transparent)]
    Balance(#[from] chat_balance::BalanceError),
    /// Sources that the turn must have could not be retrieved.
    #[error(transparent)]
    Retrieval(#[from] chat_context::rag::RagError),
    /// The prompt was refused by a guard; its text is not repeated.
    #[error("the prompt was refused: {reason}")]
    Guarded {
        /// The guard's reason.
        reason: String,
    },
    /// The tree of messages cannot be worked with.
    #[error("the conversation's tree is broken: {detail}")]
    BrokenTree {
        /// What is wrong.
        detail: String,
    },
}

impl TurnError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyMessage => "empty_message",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::UnknownConversation { .. } => "unknown_conversation",
            Self::UnknownMessage { .. } => "unknown_message",
            Self::WrongMessage { .. } => "wrong_message",
            Self::UnknownFile { .. } => "unknown_file",
            Self::NoFiles => "no_files",
            Self::File(error) => error.code(),
            Self::UnknownModel(_) => "unknown_model",
            Self::NoProvider => "no_provider",
            Self::InvalidId(_) => "invalid_id",
            Self::Draining => "draining",
            Self::Overloaded { .. } => "overloaded",
            Self::Store(error) => error.code(),
            Self::Context(error) => error.code(),
            Self::Usage(error) => error.code(),
            Self::Provider(error) => error.code(),
            Self::Balance(error) => error.code(),
            Self::Retrieval(error) => error.code(),
            Self::Guarded { .. } => "content_refused",
            Self::BrokenTree { .. } => "broken_tree",
        }
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Draining | Self::Overloaded { .. } => true,
            Self::Store(error) => error.is_transient(),
            Self::Context(error) => error.is_transient(),
            Self::Usage(error) => error.is_transient(),
            Self::Provider(error) => error.is_transient(),
            Self::Balance(error) => error.is_transient(),
            Self::Retrieval(error) => error.is_transient(),
            Self::File(error) => error.is_transient(),
            _ => false,
        }
    }

    /// The same, told as the end of a turn.
    #[must_use]
    pub fn to_failure(&self) -> TurnFailure {
        let message = match self {
            Self::Usage(UsageError::Refused { refusal }) => refused(refusal),
            Self::Usage(error @ UsageError::UnknownPrice { .. }) => {
                format!("{error}; add one to the price overrides")
            }
            other => other.to_string(),
        };
        TurnFailure::new(self.code(), message, self.is_transient())
    }
}

/// Which account is short of what, and what to do about it.
fn refused(refusal: &Refusal) -> String {
    let show = |amount| refusal.unit.show(amount);
    let numbers = format!(
        "the balance of {} is too low: {} needed, {} available, {} held",
        refusal.account,
        show(refusal.need),
        show(refusal.available),
        show(refusal.held)
    );
    match refusal.refill_at {
        Some(at) => format!("{numbers}; it is filled again at {at}, or add credit and send again"),
        None => format!("{numbers}; add credit and send again"),
    }
}
