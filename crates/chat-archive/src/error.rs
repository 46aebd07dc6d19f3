//! One error for writing and reading archives: what kind, at which line, and why underneath.

use std::error::Error as StdError;
use std::fmt;

use chat_balance::BalanceError;
use chat_persist::PersistError;
use chat_usage::UsageError;

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArchiveErrorKind {
    /// The first line is not the header of an archive.
    NotAnArchive,
    /// The archive was written by a newer version of this program.
    UnknownVersion,
    /// The archive has no last line: it was cut short, or its export failed.
    Truncated,
    /// The last line's counts are not what was read.
    CountsDiffer,
    /// A line cannot be read, or is longer than the bound.
    BadLine,
    /// A line stands where it makes no sense, for example a message before any conversation.
    OutOfPlace,
    /// The archive has ledger rows and the target keeps no ledger.
    NoLedger,
    /// The file or pipe failed.
    Io,
    /// A store refused or failed; see the source.
    Store,
}

/// Where in an archive: a line, or the lines of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Lines {
    pub(crate) fn one(line: u64) -> Self {
        Self { first: line, last: line }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "line {}", self.first)
        } else {
            write!(f, "lines {} to {}", self.first, self.last)
        }
    }
}

/// An archive that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}{detail}", place(*lines))]
pub struct ArchiveError {
    kind: ArchiveErrorKind,
    lines: Option<Lines>,
    detail: String,
    is_transient: bool,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

fn place(lines: Option<Lines>) -> String {
    lines.map(|lines| format!("{lines}: ")).unwrap_or_default()
}

impl ArchiveError {
    pub(crate) fn new(kind: ArchiveErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, lines: None, detail: detail.into(), is_transient: false, source: None }
    }

    pub(crate) fn at(mut self, lines: Lines) -> Self {
        self.lines = Some(lines);
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn io(detail: &'static str, source: std::io::Error) -> Self {
        Self::new(ArchiveErrorKind::Io, detail).caused_by(source)
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ArchiveErrorKind {
        self.kind
    }

    /// The line it is about, counted from 1; for a page, its first.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.lines.map(|lines| lines.first)
    }

    /// A store did not answer: the same import may be run again and goes on where it stopped.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl From<PersistError> for ArchiveError {
    fn from(error: PersistError) -> Self {
        let is_transient = error.is_transient();
        let error = Self::new(ArchiveErrorKind::Store, "the store refused").caused_by(error);
        Self { is_transient, ..error }
    }
}

impl From<BalanceError> for ArchiveError {
    fn from(error: BalanceError) -> Self {
        let is_transient = error.is_transient();
        let error = Self::new(ArchiveErrorKind::Store, "the ledger refused").caused_by(error);
        Self { is_transient, ..error }
    }
}

impl From<UsageError> for ArchiveError {
    fn from(error: UsageError) -> Self {
        let is_transient = error.is_transient();
        let error =
            Self::new(ArchiveErrorKind::Store, "the store of usage rows refused").caused_by(error);
        Self { is_transient, ..error }
    }
}
