//! Values in documents of our own: numbers are Int64, moments are BSON dates, names are those of the
//! words' `as_str`. LibreChat's documents have other habits (`field`).

use std::str::FromStr;

use chat_types::Timestamp;
use mongodb::bson::{DateTime, Document, serialize_to_document};
use serde::Serialize;

use crate::error::{EngineResult, Failure, FailureKind};

/// A number as it is stored.
pub(crate) fn int64(number: u64) -> EngineResult<i64> {
    i64::try_from(number)
        .map_err(|_| Failure::new(FailureKind::TooLarge, "a number is beyond 64 signed bits"))
}

/// A stored number that cannot be negative.
pub(crate) fn unsigned(number: i64) -> EngineResult<u64> {
    u64::try_from(number).map_err(|_| Failure::corrupt("a stored number is negative"))
}

pub(crate) fn small(number: i64) -> EngineResult<u32> {
    u32::try_from(number).map_err(|_| Failure::corrupt("a stored number is out of its range"))
}

/// A moment as it is stored.
pub(crate) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.unix_ms())
}

pub(crate) fn moment(date: DateTime) -> Timestamp {
    Timestamp::from_unix_ms(date.timestamp_millis())
}

pub(crate) fn parse<T: FromStr>(text: &str) -> EngineResult<T> {
    text.parse().map_err(|_| Failure::corrupt("a stored id or name breaks the rule of its kind"))
}

pub(crate) fn named<T>(name: &str, from_stored: impl Fn(&str) -> Option<T>) -> EngineResult<T> {
    from_stored(name).ok_or_else(|| Failure::corrupt(format!("a stored name is unknown: {name}")))
}

/// Any of these records as a document.
pub(crate) fn document<T: Serialize>(record: &T) -> EngineResult<Document> {
    serialize_to_document(record).map_err(|_| Failure::corrupt("a record has no BSON form"))
}
