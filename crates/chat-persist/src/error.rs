//! One error for every store: what kind of refusal, in which operation, and why underneath.

use std::error::Error as StdError;

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PersistErrorKind {
    /// No such thing for this scope. Somebody else's thing is not there either.
    NotFound,
    /// The message named as parent is not in this conversation.
    ParentMissing,
    /// The message named as parent is a reply that is still being written.
    ParentUnfinished,
    /// The idempotency key was used for a different request.
    IdempotencyConflict,
    /// The id is taken by something else, or a tree rule would be broken.
    Conflict,
    /// Another owner has taken the turn over: stop writing.
    Fenced,
    /// The move is not legal from the state that is stored.
    IllegalState,
    /// The store did not answer, or is busy; the call is safe to repeat.
    Unavailable,
    /// The disk or a quota of the store is full; nothing was written.
    Full,
    /// What is stored cannot be read; it was left untouched.
    Corrupt,
    /// The store was written by a newer version of this program; it was left untouched.
    NewerSchema,
    /// A value is larger than the store takes.
    TooLarge,
    /// The store cannot do this at all.
    Unsupported,
}

impl PersistErrorKind {
    /// A stable code for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::ParentMissing => "parent_missing",
            Self::ParentUnfinished => "parent_unfinished",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::IllegalState => "illegal_state",
            Self::Unavailable => "store_unavailable",
            Self::Full => "store_full",
            Self::Corrupt => "store_corrupt",
            Self::NewerSchema => "store_newer_schema",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A refused or failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {detail}")]
pub struct PersistError {
    kind: PersistErrorKind,
    operation: &'static str,
    detail: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PersistError {
    /// A refusal without a cause underneath. `detail` says what was wrong, with no message text.
    pub fn new(kind: PersistErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, operation, detail: detail.into(), source: None }
    }

    /// The same with the driver's error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> PersistErrorKind {
        self.kind
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Which call failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == PersistErrorKind::Unavailable
    }
}
