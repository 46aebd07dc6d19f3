//! One error for all of retrieval: what went wrong, and what can be done now.

use std::error::Error;

/// What a [`RagError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RagErrorKind {
    /// The request or the document breaks a rule; the same call fails again.
    Invalid,
    /// A document, a query or an answer beyond its bound.
    TooLarge,
    /// The index or service did not answer, or lost the connection.
    Unavailable,
    /// The deadline passed first.
    Timeout,
    /// Too many retrievals are under way.
    Busy,
    /// The service does not accept our credentials.
    Unauthorized,
    /// The service answered, but not in the words of its contract.
    Malformed,
    /// The embedding model failed.
    Embedding,
    /// The disk or the quota is full.
    Full,
    /// What is stored cannot be read.
    Corrupt,
    /// A newer program wrote the index.
    NewerSchema,
    /// The engine lacks what this needs.
    Unsupported,
}

impl RagErrorKind {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "rag_invalid",
            Self::TooLarge => "rag_too_large",
            Self::Unavailable => "rag_unavailable",
            Self::Timeout => "rag_timeout",
            Self::Busy => "rag_busy",
            Self::Unauthorized => "rag_unauthorized",
            Self::Malformed => "rag_malformed",
            Self::Embedding => "rag_embedding",
            Self::Full => "rag_full",
            Self::Corrupt => "rag_corrupt",
            Self::NewerSchema => "rag_newer_schema",
            Self::Unsupported => "rag_unsupported",
        }
    }
}

/// A call that failed; a failed write has changed nothing.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {detail}")]
pub struct RagError {
    kind: RagErrorKind,
    operation: &'static str,
    detail: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What every call of this crate answers.
pub type Result<T> = std::result::Result<T, RagError>;

impl RagError {
    /// `operation` is what was asked for, `detail` what was wrong and where.
    #[must_use]
    pub fn new(kind: RagErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, operation, detail: detail.into(), source: None }
    }

    /// The same with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> RagErrorKind {
        self.kind
    }

    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// What was asked for.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// The same call may succeed later with nothing changed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, RagErrorKind::Unavailable | RagErrorKind::Timeout | RagErrorKind::Busy)
    }
}
