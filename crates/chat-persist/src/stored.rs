//! The JSON forms that stores keep in text columns, shared by every store that has such columns.
//!
//! Each form is converted field by field from the words of `chat-types`, so that a change of the
//! words is never a silent change of what is stored. Old programs ignore fields they do not know; a
//! field that is added has a default. Snapshots in the stores' tests pin each form. Reading back
//! what was written gives an equal value.
//!
//! A name (a role, a state, a source) is stored as its word's `as_str` says and read by its
//! `from_stored`. Not here: columns and statements (they are each store's own), and documents
//! (a document store has fields where these stores have text).

mod message;
mod turn;

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{PersistError, PersistErrorKind};

pub use message::{
    MessageRow, message_record, summary_of, summary_record, token_counts_of, token_counts_record,
};
pub use turn::{
    amounts_of, amounts_record, failure_of, failure_record, kind_of, kind_record, options_of,
    options_record,
};

/// A value that has no stored form, or a stored form that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct StoredError {
    kind: PersistErrorKind,
    detail: String,
    #[source]
    source: Option<serde_json::Error>,
}

impl StoredError {
    fn corrupt(detail: impl Into<String>) -> Self {
        Self { kind: PersistErrorKind::Corrupt, detail: detail.into(), source: None }
    }

    fn no_form(what: &str) -> Self {
        let detail = format!("this kind of {what} has no stored form yet");
        Self { kind: PersistErrorKind::Unsupported, detail, source: None }
    }

    fn unknown_name(what: &str, name: &str) -> Self {
        Self::corrupt(format!("a stored {what} is unknown: {name}"))
    }

    /// `Corrupt` for what cannot be read, `Unsupported` for what has no stored form.
    #[must_use]
    pub fn kind(&self) -> PersistErrorKind {
        self.kind
    }

    /// The same as the refusal of a store's operation.
    #[must_use]
    pub fn persist(self, operation: &'static str) -> PersistError {
        let error = PersistError::new(self.kind, operation, self.detail);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

type Result<T> = std::result::Result<T, StoredError>;

fn parse<T: FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| StoredError::corrupt("a stored id or name breaks the rule of its kind"))
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoredError {
        source: Some(error),
        ..StoredError::corrupt("a stored record cannot be read")
    })
}

fn encode<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoredError {
        source: Some(error),
        ..StoredError::corrupt("a value has no JSON form")
    })
}
