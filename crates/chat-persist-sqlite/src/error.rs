//! Maps what the driver says to what a caller can do about it.
//!
//! `Failure` is about the engine, never about a rule of the ports: whoever gets one knows that
//! nothing of his call was written.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use chat_balance::{BalanceError, BalanceErrorKind};
use chat_persist::stored::StoredError;
use chat_persist::{PersistError, PersistErrorKind};
use chat_usage::UsageError;

/// What the engine could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another process holds the lock.
    Busy,
    /// No answer: closed, no permission, input/output error.
    Unavailable,
    /// Disk or quota full.
    Full,
    /// What is stored cannot be read.
    Corrupt,
    /// Written by a newer program.
    NewerSchema,
    /// A value beyond the engine's limits.
    TooLarge,
    /// The linked library is too old, or the file system cannot do it.
    Unsupported,
}

/// A failed engine call; shared by all writers of a group.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    detail: String,
    source: Option<Arc<sqlx::Error>>,
}

pub(crate) type EngineResult<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Corrupt, detail)
    }

    pub(crate) fn closed() -> Self {
        Self::new(FailureKind::Unavailable, "the store is closed")
    }

    /// The connection itself is gone, not only this call.
    pub(crate) fn lost_connection(&self) -> bool {
        match self.source.as_deref() {
            Some(sqlx::Error::Database(_)) | None => false,
            Some(_) => self.kind == FailureKind::Unavailable,
        }
    }

    /// The same in the words of the persistence port.
    pub(crate) fn persist(&self, operation: &'static str) -> PersistError {
        let kind = match self.kind {
            FailureKind::Busy | FailureKind::Unavailable => PersistErrorKind::Unavailable,
            FailureKind::Full => PersistErrorKind::Full,
            FailureKind::Corrupt => PersistErrorKind::Corrupt,
            FailureKind::NewerSchema => PersistErrorKind::NewerSchema,
            FailureKind::TooLarge => PersistErrorKind::TooLarge,
            FailureKind::Unsupported => PersistErrorKind::Unsupported,
        };
        let error = PersistError::new(kind, operation, self.detail.clone());
        match &self.source {
            Some(source) => error.with_source(SharedSource(Arc::clone(source))),
            None => error,
        }
    }
}

impl Failure {
    /// The same in the words of the ledger's port, which knows fewer kinds.
    pub(crate) fn balance(&self, operation: &'static str) -> BalanceError {
        let kind = match self.kind {
            FailureKind::Busy
            | FailureKind::Unavailable
            | FailureKind::Full
            | FailureKind::Unsupported => BalanceErrorKind::Unavailable,
            FailureKind::TooLarge => BalanceErrorKind::InvalidAmount,
            FailureKind::Corrupt | FailureKind::NewerSchema => BalanceErrorKind::Corrupt,
        };
        let error = BalanceError::new(kind, operation, self.detail.clone());
        match &self.source {
            Some(source) => error.with_source(SharedSource(Arc::clone(source))),
            None => error,
        }
    }

    /// The same in the words of the usage port.
    pub(crate) fn usage(&self) -> UsageError {
        UsageError::Store {
            detail: self.detail.clone(),
            transient: matches!(self.kind, FailureKind::Busy | FailureKind::Unavailable),
            source: self
                .source
                .as_ref()
                .map(|source| SharedSource(Arc::clone(source)))
                .map(Into::into),
        }
    }
}

/// The driver's error, shared because one failed commit has many writers.
#[derive(Debug)]
struct SharedSource(Arc<sqlx::Error>);

impl fmt::Display for SharedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SharedSource {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let (kind, detail) = match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().and_then(|code| code.parse::<u32>().ok());
                by_code(code.unwrap_or_default() & 0xff)
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::RowNotFound => {
                (FailureKind::Corrupt, "a stored value has an unexpected type")
            }
            _ => (FailureKind::Unavailable, "the connection to the database file was lost"),
        };
        Self { kind, detail: detail.to_owned(), source: Some(Arc::new(error)) }
    }
}

impl From<StoredError> for Failure {
    fn from(error: StoredError) -> Self {
        let kind = match error.kind() {
            PersistErrorKind::Unsupported => FailureKind::Unsupported,
            _ => FailureKind::Corrupt,
        };
        // The driver's errors are the only sources here, so what is underneath goes into the text.
        let detail = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::new(kind, detail)
    }
}

/// By intent, from the primary result code (sqlite.org/rescode.html).
const fn by_code(primary: u32) -> (FailureKind, &'static str) {
    match primary {
        5 | 6 => (
            FailureKind::Busy,
            "the database is locked by another process; close it there or try again",
        ),
        7 => (FailureKind::Unavailable, "out of memory"),
        8 => (FailureKind::Unavailable, "the database file or its folder cannot be written"),
        10 => (FailureKind::Unavailable, "the disk reported an error"),
        11 => (FailureKind::Corrupt, "the database file is damaged; it was left untouched"),
        13 => (FailureKind::Full, "the disk or the store's quota is full; nothing was written"),
        14 => (
            FailureKind::Unavailable,
            "the database file cannot be opened; its folder must exist and be writable",
        ),
        18 => (FailureKind::TooLarge, "a value is larger than the engine takes"),
        19 => (FailureKind::Corrupt, "a stored row breaks a rule of the schema"),
        26 => (FailureKind::Corrupt, "the file is not a SQLite database; it was left untouched"),
        1 => (FailureKind::Corrupt, "the schema is not the one this program wrote"),
        _ => (FailureKind::Unavailable, "the engine did not do it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_map_by_intent() {
        for (code, kind) in [
            (5, FailureKind::Busy),
            (6, FailureKind::Busy),
            (8, FailureKind::Unavailable),
            (10, FailureKind::Unavailable),
            (11, FailureKind::Corrupt),
            (13, FailureKind::Full),
            (14, FailureKind::Unavailable),
            (18, FailureKind::TooLarge),
            (26, FailureKind::Corrupt),
        ] {
            assert_eq!(by_code(code).0, kind, "code {code}");
        }
    }

    #[test]
    fn a_lost_connection_is_told_from_a_refused_statement() {
        assert!(Failure::from(sqlx::Error::WorkerCrashed).lost_connection());
        assert!(!Failure::closed().lost_connection());
        let error = Failure::from(sqlx::Error::WorkerCrashed).persist("accept");
        assert!(error.is_transient());
    }
}
