//! Why no prompt could be built.

use std::fmt;

use chat_thread::BranchError;
use chat_types::Tokens;

use crate::FileReadError;

/// The part of a prompt that cannot be left out and does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PromptComponent {
    /// The composed instructions.
    Instructions,
    /// The tool schemas.
    Tools,
    /// The newest user message and what follows it.
    NewestMessage,
}

impl fmt::Display for PromptComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instructions => "the instructions",
            Self::Tools => "the tools",
            Self::NewestMessage => "the newest message",
        })
    }
}

/// Why no prompt could be built. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// What must be sent does not fit; leaving out history would not help.
    #[error("{component} took {tokens} tokens and {budget} were left for it")]
    PromptTooLarge {
        /// What did not fit.
        component: PromptComponent,
        /// Its size.
        tokens: Tokens,
        /// What was left of the input budget when its turn came.
        budget: Tokens,
    },
    /// There is no message to answer.
    #[error("there is no message to answer")]
    NothingToAnswer,
    /// The history could not be read.
    #[error("the history could not be read")]
    History(#[source] BranchError),
    /// The attached files could not be read.
    #[error(transparent)]
    Files(#[from] FileReadError),
}

impl ContextError {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PromptTooLarge { .. } => "prompt_too_large",
            Self::NothingToAnswer => "nothing_to_answer",
            Self::History(error) => error.code(),
            Self::Files(_) => "files_unread",
        }
    }

    /// Building it again may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::History(error) => error.is_transient(),
            Self::Files(error) => error.is_transient,
            Self::PromptTooLarge { .. } | Self::NothingToAnswer => false,
        }
    }
}
