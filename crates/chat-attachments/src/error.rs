//! Why nothing could be read from a file, in words that its owner understands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExtractErrorKind {
    /// More bytes or pixels than are taken.
    TooLarge,
    /// More pages than are taken.
    TooManyPages,
    /// A small file that unfolds into a huge one.
    Bomb,
    /// It needs a password.
    Encrypted,
    /// Nothing is read from this kind of file.
    Unsupported,
    /// It is not what its first bytes say, or a part of it is missing.
    Damaged,
    /// Reading it took more time than it may.
    TookTooLong,
    /// Reading it took more memory than it may.
    UsedTooMuchMemory,
    /// The reading process went away for a reason outside the file.
    ChildFailed,
    /// The reading program cannot be started.
    ExtractorMissing,
}

impl ExtractErrorKind {
    /// A stable code for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooManyPages => "too_many_pages",
            Self::Bomb => "bomb",
            Self::Encrypted => "encrypted",
            Self::Unsupported => "unsupported",
            Self::Damaged => "damaged",
            Self::TookTooLong => "took_too_long",
            Self::UsedTooMuchMemory => "used_too_much_memory",
            Self::ChildFailed => "child_failed",
            Self::ExtractorMissing => "extractor_missing",
        }
    }
}

/// A refused or failed extraction.
///
/// It is plain data: the child sends it, the cache keeps it (unless it is transient), and everybody who
/// waited for the same file gets a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractError {
    kind: ExtractErrorKind,
    sentence: String,
    is_transient: bool,
}

impl ExtractError {
    /// A refusal that the same file gets every time; `sentence` says what was wrong and what to do.
    pub(crate) fn refused(kind: ExtractErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), is_transient: false }
    }

    /// A failure that has nothing to do with the file.
    pub(crate) fn transient(kind: ExtractErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), is_transient: true }
    }

    pub(crate) fn damaged(detail: impl fmt::Display) -> Self {
        let sentence = format!("the file is damaged or not what it seems: {detail}");
        Self::refused(ExtractErrorKind::Damaged, sentence)
    }

    pub(crate) fn bomb(detail: impl fmt::Display) -> Self {
        let sentence = format!("the file was refused because it unfolds too far: {detail}");
        Self::refused(ExtractErrorKind::Bomb, sentence)
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ExtractErrorKind {
        self.kind
    }

    /// A stable code for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The same file may be read later: the machine was busy, or the program is missing.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ExtractError {}
