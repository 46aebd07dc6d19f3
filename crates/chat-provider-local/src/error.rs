//! What can go wrong with the embedded model, and what to do about it.
//!
//! Promises: one error type, its kind says what the caller can do now, its message names the path
//! and the remedy where there is one. It never contains prompt text.

use std::error::Error;
use std::path::Path;

/// The command that puts the weights where [`crate::find_weights`] looks.
pub const FETCH_COMMAND: &str = "cargo xtask weights";

/// What a [`LocalError`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalErrorKind {
    /// No weights file at the explicit path, or none in the cache folder.
    WeightsMissing,
    /// The file is there but could not be read (permissions, a failing disk).
    WeightsUnreadable,
    /// The file is cut short, damaged, or not a model this crate can run.
    WeightsInvalid,
    /// The prompt leaves no room for one output token in the model's window.
    PromptTooLong,
    /// The engine's waiting line is full; the same call can succeed later.
    Busy,
    /// The computation itself failed; this is a bug or a damaged model.
    Inference,
}

/// A failure of the embedded model.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LocalError {
    kind: LocalErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl LocalError {
    /// What this error is about.
    #[must_use]
    pub fn kind(&self) -> LocalErrorKind {
        self.kind
    }

    /// Whether the same call can succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == LocalErrorKind::Busy
    }

    pub(crate) fn new(kind: LocalErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error underneath, for a wrapper that repeats this one's message.
    pub(crate) fn into_source(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.source
    }

    pub(crate) fn weights_missing(looked_at: &str) -> Self {
        Self::new(
            LocalErrorKind::WeightsMissing,
            format!(
                "no model weights at {looked_at}; fetch them with `{FETCH_COMMAND}`, \
                 or see `chat doctor`"
            ),
        )
    }

    pub(crate) fn weights_unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::new(
            LocalErrorKind::WeightsUnreadable,
            format!("model weights {} cannot be read", path.display()),
        )
        .with_source(source)
    }

    pub(crate) fn weights_invalid(path: &Path, finding: &str) -> Self {
        Self::new(
            LocalErrorKind::WeightsInvalid,
            format!(
                "model weights {} are not usable: {finding}; delete the file and fetch it again \
                 with `{FETCH_COMMAND}`",
                path.display()
            ),
        )
    }

    pub(crate) fn inference(finding: &str) -> Self {
        Self::new(LocalErrorKind::Inference, format!("the embedded model failed: {finding}"))
    }
}
