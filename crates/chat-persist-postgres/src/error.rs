//! Maps what the driver says to what a caller can do about it.
//!
//! `Failure` is about the engine, never about a rule of the ports: whoever gets one after the last
//! retry knows that his call is safe to repeat. No text here names a host, a user or a password.

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
    /// A lock or all connections are taken, or a statement took too long.
    Busy,
    /// No answer: closed, unreachable, shutting down.
    Unavailable,
    /// Disk or quota full.
    Full,
    /// What is stored cannot be read.
    Corrupt,
    /// Written by a newer program.
    NewerSchema,
    /// A value beyond the engine's limits.
    TooLarge,
    /// The server, its settings or this login cannot do it.
    Unsupported,
}

/// Whether the whole operation may be run again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// No: it would fail the same way, or has waited long enough.
    No,
    /// Yes: nothing of it was written.
    NothingWritten,
    /// Yes, on another connection: it may have been written.
    Unknown,
}

/// A failed engine call.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) again: Again,
    detail: String,
    source: Option<Arc<sqlx::Error>>,
}

pub(crate) type EngineResult<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, again: Again::No, detail: detail.into(), source: None }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Corrupt, detail)
    }

    pub(crate) fn closed() -> Self {
        Self::new(FailureKind::Unavailable, "the store is closed")
    }

    /// Another writer was faster between two looks at the same row: look again.
    pub(crate) fn overtaken() -> Self {
        let detail = "other writers were faster again and again";
        Self { again: Again::NothingWritten, ..Self::new(FailureKind::Busy, detail) }
    }

    /// The connection itself is gone, not only this call.
    pub(crate) fn lost(detail: impl Into<String>) -> Self {
        Self { again: Again::Unknown, ..Self::new(FailureKind::Unavailable, detail) }
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

#[cfg(feature = "pgvector")]
impl Failure {
    /// The same in the words of retrieval's ports.
    pub(crate) fn rag(&self, operation: &'static str) -> chat_rag::RagError {
        use chat_rag::RagErrorKind;
        let kind = match self.kind {
            FailureKind::Busy | FailureKind::Unavailable => RagErrorKind::Unavailable,
            FailureKind::Full => RagErrorKind::Full,
            FailureKind::Corrupt => RagErrorKind::Corrupt,
            FailureKind::NewerSchema => RagErrorKind::NewerSchema,
            FailureKind::TooLarge => RagErrorKind::TooLarge,
            FailureKind::Unsupported => RagErrorKind::Unsupported,
        };
        let error = chat_rag::RagError::new(kind, operation, self.detail.clone());
        match &self.source {
            Some(source) => error.with_source(SharedSource(Arc::clone(source))),
            None => error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// The driver's error behind a failure that may be told several times.
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
        let (kind, again, detail) = match &error {
            sqlx::Error::Database(database) => by_code(database.code().as_deref().unwrap_or("")),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => {
                (FailureKind::Corrupt, Again::No, "a stored value has an unexpected type")
            }
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                (FailureKind::TooLarge, Again::No, "a value is larger than the driver takes")
            }
            sqlx::Error::Configuration(_) => {
                (FailureKind::Unsupported, Again::No, "the database URL cannot be used")
            }
            sqlx::Error::Tls(_) => (
                FailureKind::Unavailable,
                Again::No,
                "no encrypted connection to the server; see sslmode and sslrootcert in the URL",
            ),
            _ => (
                FailureKind::Unavailable,
                Again::Unknown,
                "the connection to the database server was lost",
            ),
        };
        Self { kind, again, detail: detail.to_owned(), source: Some(Arc::new(error)) }
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

/// By intent, from the SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html).
fn by_code(code: &str) -> (FailureKind, Again, &'static str) {
    use Again::{No, NothingWritten, Unknown};
    use FailureKind::{Busy, Corrupt, Full, TooLarge, Unavailable, Unsupported};
    match code {
        "40001" | "40P01" => (Busy, NothingWritten, "other writers were in the way"),
        // Two callers have passed the same check at once: the second look sees the first writer.
        "23505" | "23503" => (Corrupt, NothingWritten, "a row breaks a rule of the schema"),
        "55P03" => (Busy, No, "a row was locked by another writer for too long"),
        "57014" => (Busy, No, "a statement took longer than the statement timeout"),
        // A primary that has become a replica: the next connection may find the new one.
        "25006" => (Unavailable, NothingWritten, "the server takes no writes: it is a replica"),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
            (Unavailable, Unknown, "the database server is starting, stopping or has hung up")
        }
        "53100" => (Full, No, "the server's disk is full; nothing was written"),
        "53300" => (Unavailable, NothingWritten, "the server has no connection left"),
        "28000" | "28P01" => {
            (Unsupported, No, "the server refused the login; check user and password in the URL")
        }
        "3D000" => (Unsupported, No, "there is no such database on the server; create it first"),
        "42501" => (Unsupported, No, "this login may not do that; grant it the schema"),
        "22021" => (TooLarge, No, "a text holds a character that the engine cannot store"),
        "42P01" | "42703" | "42883" | "3F000" => {
            (Corrupt, No, "the schema is not the one this program wrote")
        }
        _ => match code.get(..2).unwrap_or("") {
            "08" => (Unavailable, Unknown, "the connection to the database server was lost"),
            "22" | "54" => (TooLarge, No, "a value is larger than the engine takes"),
            "23" => (Corrupt, No, "a stored row breaks a rule of the schema"),
            "53" => (Unavailable, No, "the server is out of memory or connections"),
            "XX" => (Corrupt, No, "the server reported damaged data"),
            _ => (Unavailable, No, "the engine did not do it"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_states_map_by_intent() {
        for (code, kind, again) in [
            ("40001", FailureKind::Busy, Again::NothingWritten),
            ("40P01", FailureKind::Busy, Again::NothingWritten),
            ("55P03", FailureKind::Busy, Again::No),
            ("57014", FailureKind::Busy, Again::No),
            ("57P01", FailureKind::Unavailable, Again::Unknown),
            ("08006", FailureKind::Unavailable, Again::Unknown),
            ("25006", FailureKind::Unavailable, Again::NothingWritten),
            ("53100", FailureKind::Full, Again::No),
            ("54000", FailureKind::TooLarge, Again::No),
            ("22003", FailureKind::TooLarge, Again::No),
            ("42P01", FailureKind::Corrupt, Again::No),
            ("28P01", FailureKind::Unsupported, Again::No),
        ] {
            let (found_kind, found_again, _) = by_code(code);
            assert_eq!((found_kind, found_again), (kind, again), "code {code}");
        }
    }

    #[test]
    fn a_lost_connection_is_worth_another_run() {
        let failure = Failure::from(sqlx::Error::WorkerCrashed);
        assert_eq!(failure.again, Again::Unknown);
        assert!(failure.persist("accept").is_transient());
        assert_eq!(Failure::closed().again, Again::No);
    }
}
