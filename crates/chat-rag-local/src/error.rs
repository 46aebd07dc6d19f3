//! Maps what the driver says to what a caller can do about it.

use chat_rag::{RagError, RagErrorKind};

/// A failed engine call, before it is known what was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: RagErrorKind,
    detail: String,
    source: Option<sqlx::Error>,
}

pub(crate) type EngineResult<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: RagErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(RagErrorKind::Corrupt, detail)
    }

    pub(crate) fn closed() -> Self {
        Self::new(RagErrorKind::Unavailable, "the index is closed")
    }

    /// The connection is no good any more.
    pub(crate) fn lost_connection(&self) -> bool {
        !matches!(self.source, Some(sqlx::Error::Database(_)) | None)
    }

    pub(crate) fn during(self, operation: &'static str) -> RagError {
        let error = RagError::new(self.kind, operation, self.detail);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
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
                (RagErrorKind::Corrupt, "a stored value has an unexpected type")
            }
            _ => (RagErrorKind::Unavailable, "the connection to the index file was lost"),
        };
        Self { kind, detail: detail.to_owned(), source: Some(error) }
    }
}

/// By intent, from the primary result code (sqlite.org/rescode.html).
const fn by_code(primary: u32) -> (RagErrorKind, &'static str) {
    match primary {
        5 | 6 => (
            RagErrorKind::Unavailable,
            "the index is locked by another process; close it there or try again",
        ),
        13 => (RagErrorKind::Full, "the disk is full; nothing was written"),
        18 => (RagErrorKind::TooLarge, "a value is larger than the engine takes"),
        11 => (RagErrorKind::Corrupt, "the index file is damaged; delete it and add again"),
        26 => (RagErrorKind::Corrupt, "the file is not a SQLite database; it was left untouched"),
        1 | 19 => (RagErrorKind::Corrupt, "the index is not the one this program wrote"),
        14 => (
            RagErrorKind::Unavailable,
            "the index file cannot be opened; its folder must exist and be writable",
        ),
        _ => (RagErrorKind::Unavailable, "the engine did not do it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_map_by_intent() {
        for (code, kind, transient) in [
            (5, RagErrorKind::Unavailable, true),
            (11, RagErrorKind::Corrupt, false),
            (13, RagErrorKind::Full, false),
            (14, RagErrorKind::Unavailable, true),
            (26, RagErrorKind::Corrupt, false),
        ] {
            assert_eq!(by_code(code).0, kind, "code {code}");
            assert_eq!(Failure::new(kind, "").during("add").is_transient(), transient);
        }
        assert!(Failure::from(sqlx::Error::WorkerCrashed).lost_connection());
        assert!(!Failure::closed().lost_connection());
    }
}
