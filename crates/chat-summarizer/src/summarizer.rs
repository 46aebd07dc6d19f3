//! The port: older messages in, a summary bound to a place on the branch out.
//!
//! A failed or blank summary is an error and never a checkpoint; the caller falls back to
//! dropping and says so. Not here: when to summarise, and storing the result.

use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;
use chat_types::{Message, Summary, Tokens};

use crate::covered_hash_after;

/// What to summarise.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRequest {
    /// The summary that stands for everything before `messages`; none: they start at the root.
    pub previous: Option<Summary>,
    /// What to cover, oldest first.
    pub messages: Vec<Message>,
    /// The longest summary wanted.
    pub tokens_max: Tokens,
}

impl SummaryRequest {
    /// Binds `text` to the newest message of the request and to the content it covers.
    ///
    /// Every implementation makes its result here, so that none can return a blank one.
    ///
    /// # Errors
    /// `NothingToCover` if there is no message; `Blank` if `text` says nothing.
    pub fn summary_of(&self, text: &str) -> Result<Summary, SummaryError> {
        let newest =
            self.messages.last().ok_or(SummaryError::new(SummaryErrorKind::NothingToCover))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(SummaryError::new(SummaryErrorKind::Blank));
        }
        Ok(Summary {
            text: text.to_owned(),
            covers_to: newest.id.clone(),
            covered: covered_hash_after(self.previous.as_ref(), &self.messages),
            prompt_version: None,
        })
    }
}

/// Why there is no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SummaryErrorKind {
    /// The request holds no message.
    NothingToCover,
    /// The summary came back blank.
    Blank,
    /// The summariser could not be reached or broke off; asking again may succeed.
    Unavailable,
    /// The summariser refused; asking again gives the same.
    Refused,
    /// The summariser's window is too small for the request.
    NoRoom,
}

impl SummaryErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::NothingToCover => "there is nothing to summarise",
            Self::Blank => "the summary came back blank",
            Self::Unavailable => "the summariser did not answer",
            Self::Refused => "the summariser refused",
            Self::NoRoom => "the summariser's window is too small for earlier notes and a message",
        }
    }
}

/// No summary was made; what it should have covered is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{}", kind.text())]
pub struct SummaryError {
    kind: SummaryErrorKind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SummaryError {
    /// An error without a cause of its own.
    #[must_use]
    pub const fn new(kind: SummaryErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error caused by `source`.
    pub fn caused_by(
        kind: SummaryErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> SummaryErrorKind {
        self.kind
    }

    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            SummaryErrorKind::NothingToCover => "nothing_to_summarise",
            SummaryErrorKind::Blank => "summary_blank",
            SummaryErrorKind::Unavailable => "summary_unavailable",
            SummaryErrorKind::Refused => "summary_refused",
            SummaryErrorKind::NoRoom => "summary_no_room",
        }
    }

    /// Asking again may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, SummaryErrorKind::Unavailable)
    }
}

/// Summarises older messages.
#[async_trait]
pub trait Summarizer: Debug + Send + Sync + 'static {
    /// Summarises `request`. The result covers its messages from the oldest on, up to the one it
    /// names: all of them, or those that could be reached. It is never blank; a model behind it may
    /// word a second call differently.
    ///
    /// # Errors
    /// As the kinds say; nothing is stored either way.
    async fn summarize(&self, request: SummaryRequest) -> Result<Summary, SummaryError>;
}
