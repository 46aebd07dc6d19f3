//! Maps what the driver says to what a caller can do about it.
//!
//! `Failure` is about the engine, `Stop` adds the refusals of a port. Whoever gets a failure that
//! is not `Lost` knows that nothing of his call was written; after `Lost` the call may be repeated.

use std::error::Error as StdError;

use chat_balance::{BalanceError, BalanceErrorKind};
use chat_persist::{PersistError, PersistErrorKind};
use chat_usage::UsageError;
use mongodb::error::{
    Error as DriverError, ErrorKind, TRANSIENT_TRANSACTION_ERROR,
    UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

/// What the engine could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another transaction was faster: the whole one again.
    Contended,
    /// The connection or the primary was lost, the outcome may be unknown: the whole one again.
    Lost,
    /// A unique key is taken, by a writer that was not there when the unit looked.
    Duplicate,
    /// No server answers, the store is closed, or the server took too long.
    Unavailable,
    /// The user of the URL may not do it.
    Denied,
    /// Disk or quota full.
    Full,
    /// What is stored cannot be read.
    Corrupt,
    /// Written by a newer program.
    NewerSchema,
    /// A value beyond the engine's limits.
    TooLarge,
    /// The server is too old or cannot do it.
    Unsupported,
}

/// A failed engine call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    detail: String,
    source: Option<Box<DriverError>>,
}

pub(crate) type EngineResult<T> = Result<T, Failure>;

/// Why a unit of work ends without its answer.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// A rule of the port forbids it; nothing of the unit stays written.
    Refused(E),
    /// The engine failed.
    Failed(Failure),
}

/// What a unit of work of port `E` answers.
pub(crate) type Outcome<T, E = PersistError> = Result<T, Stop<E>>;

/// An error of one of our ports, as the store makes it from a failure.
pub(crate) trait PortError: Sized + Send + 'static {
    /// The failure in the words of this port.
    fn of(failure: Failure, operation: &'static str) -> Self;
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Corrupt, detail)
    }

    /// What the server said inside an answer that is no error of the driver's.
    pub(crate) fn of_code(code: i32) -> Self {
        let (kind, detail) = by_code(code);
        Self::new(kind, detail)
    }

    pub(crate) fn closed() -> Self {
        Self::new(FailureKind::Unavailable, "the store is closed")
    }

    /// How often a unit that failed like this is run again: contention always passes (somebody
    /// got through), a lost primary is back after one or two tries that each wait for it, and a
    /// key that is taken is found by the next look.
    pub(crate) const fn repeats_max(&self) -> u32 {
        match self.kind {
            FailureKind::Contended => 200,
            FailureKind::Lost => 6,
            FailureKind::Duplicate => 8,
            FailureKind::Unavailable
            | FailureKind::Denied
            | FailureKind::Full
            | FailureKind::Corrupt
            | FailureKind::NewerSchema
            | FailureKind::TooLarge
            | FailureKind::Unsupported => 0,
        }
    }

    /// The commit may have happened: commit again.
    pub(crate) fn is_unknown_commit(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|error| error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT))
    }
}

impl PortError for PersistError {
    fn of(failure: Failure, operation: &'static str) -> Self {
        let kind = match failure.kind {
            FailureKind::Contended | FailureKind::Lost | FailureKind::Unavailable => {
                PersistErrorKind::Unavailable
            }
            FailureKind::Duplicate => PersistErrorKind::Conflict,
            FailureKind::Full => PersistErrorKind::Full,
            FailureKind::Corrupt => PersistErrorKind::Corrupt,
            FailureKind::NewerSchema => PersistErrorKind::NewerSchema,
            FailureKind::TooLarge => PersistErrorKind::TooLarge,
            FailureKind::Denied | FailureKind::Unsupported => PersistErrorKind::Unsupported,
        };
        let error = Self::new(kind, operation, failure.detail);
        match failure.source {
            Some(source) => error.with_source(source as Box<dyn StdError + Send + Sync>),
            None => error,
        }
    }
}

impl PortError for BalanceError {
    fn of(failure: Failure, operation: &'static str) -> Self {
        let kind = match failure.kind {
            FailureKind::Contended
            | FailureKind::Lost
            | FailureKind::Unavailable
            | FailureKind::Full
            | FailureKind::Denied
            | FailureKind::Unsupported => BalanceErrorKind::Unavailable,
            FailureKind::Duplicate => BalanceErrorKind::Conflict,
            FailureKind::TooLarge => BalanceErrorKind::InvalidAmount,
            FailureKind::Corrupt | FailureKind::NewerSchema => BalanceErrorKind::Corrupt,
        };
        let error = Self::new(kind, operation, failure.detail);
        match failure.source {
            Some(source) => error.with_source(source as Box<dyn StdError + Send + Sync>),
            None => error,
        }
    }
}

impl PortError for UsageError {
    fn of(failure: Failure, operation: &'static str) -> Self {
        Self::Store {
            detail: format!("{operation}: {}", failure.detail),
            transient: matches!(
                failure.kind,
                FailureKind::Contended | FailureKind::Lost | FailureKind::Unavailable
            ),
            source: failure.source.map(|source| source as Box<dyn StdError + Send + Sync>),
        }
    }
}

impl<E> From<Failure> for Stop<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E> From<DriverError> for Stop<E> {
    fn from(error: DriverError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PersistError> for Stop<PersistError> {
    fn from(refusal: PersistError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BalanceError> for Stop<BalanceError> {
    fn from(refusal: BalanceError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UsageError> for Stop<UsageError> {
    fn from(refusal: UsageError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let (kind, detail) = classify(&error);
        Self { kind, detail: detail.to_owned(), source: Some(Box::new(error)) }
    }
}

/// By intent. What is said here goes to users; the driver's words are the source.
fn classify(error: &DriverError) -> (FailureKind, &'static str) {
    match by_kind(error) {
        (FailureKind::Unavailable, _) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
            (FailureKind::Contended, "another transaction was faster")
        }
        found => found,
    }
}

fn by_kind(error: &DriverError) -> (FailureKind, &'static str) {
    let lost = (FailureKind::Lost, "the connection to the database was lost");
    match error.kind.as_ref() {
        ErrorKind::Command(command) => by_code(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => by_code(write.code),
        ErrorKind::InsertMany(many) => {
            many.write_errors.iter().flatten().next().map_or(lost, |write| by_code(write.code))
        }
        // The write is done, but not yet by a majority.
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => lost,
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => lost,
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => {
            (FailureKind::Unavailable, "no database server answers at this address")
        }
        ErrorKind::Authentication { .. } | ErrorKind::InvalidTlsConfig { .. } => {
            (FailureKind::Denied, "the database server refused the credentials or certificate")
        }
        ErrorKind::Bson(_) | ErrorKind::BsonDeserialization(_) => {
            (FailureKind::Corrupt, "a stored value has an unexpected type")
        }
        ErrorKind::InvalidArgument { .. } | ErrorKind::BsonSerialization(_) => {
            (FailureKind::TooLarge, "the driver does not take a value of this size or kind")
        }
        _ => (FailureKind::Unavailable, "the database did not do it"),
    }
}

/// By intent, from the server's error codes.
const fn by_code(code: i32) -> (FailureKind, &'static str) {
    match code {
        // LockTimeout, LockBusy, WriteConflict, NoSuchTransaction, SnapshotTooOld and kin.
        24 | 46 | 112 | 225 | 239 | 244 | 246 | 251 | 267 => {
            (FailureKind::Contended, "another transaction was faster")
        }
        // A network that is gone, a primary that steps down, a server that shuts down.
        6 | 7 | 64 | 89 | 91 | 189 | 262 | 9001 | 10058 | 10107 | 11600 | 11602 | 13435 | 13436 => {
            (FailureKind::Lost, "the primary changed while it worked")
        }
        11000 | 11001 | 12582 => (FailureKind::Duplicate, "a unique key is taken"),
        50 => (FailureKind::Unavailable, "the database took longer than allowed"),
        13 | 18 | 8000 => (FailureKind::Denied, "the user of the database may not do this"),
        14031 => (FailureKind::Full, "the database's disk is full"),
        10334 | 17280 | 17419 | 17420 | 257 => {
            (FailureKind::TooLarge, "a document is larger than the database takes (16 MiB)")
        }
        20 | 59 | 115 | 263 => (FailureKind::Unsupported, "the database server cannot do this"),
        85 | 86 => (FailureKind::Unsupported, "an index stands in the way of ours"),
        _ => (FailureKind::Unavailable, "the database did not do it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_codes_map_by_intent() {
        for (code, kind) in [
            (112, FailureKind::Contended),
            (251, FailureKind::Contended),
            (10107, FailureKind::Lost),
            (11600, FailureKind::Lost),
            (11000, FailureKind::Duplicate),
            (13, FailureKind::Denied),
            (14031, FailureKind::Full),
            (10334, FailureKind::TooLarge),
            (20, FailureKind::Unsupported),
            (1, FailureKind::Unavailable),
        ] {
            assert_eq!(by_code(code).0, kind, "code {code}");
        }
    }

    #[test]
    fn a_lost_connection_may_be_tried_again() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let failure = Failure::from(DriverError::from(broken));
        assert_eq!(failure.kind, FailureKind::Lost);
        assert!(failure.repeats_max() > 0);
        assert!(PersistError::of(failure, "accept").is_transient());
    }

    #[test]
    fn a_closed_store_is_not_tried_again() {
        assert_eq!(Failure::closed().repeats_max(), 0);
    }
}
