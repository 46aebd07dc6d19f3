//! Reading one field of a document, and the BSON types mongoose writes.

use std::str::FromStr;

use chat_types::Timestamp;
use mongodb::bson::{Bson, DateTime, Document};

use crate::error::{EngineResult, Failure};

/// A document whose fields are read by name; a wrong type is named, its value is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'d>(pub(crate) &'d Document);

impl<'d> Fields<'d> {
    /// The value, unless it is absent or null.
    pub(crate) fn get(self, name: &str) -> Option<&'d Bson> {
        self.0.get(name).filter(|value| !matches!(value, Bson::Null))
    }

    pub(super) fn wrong(name: &str) -> Failure {
        Failure::corrupt(format!("field {name} is missing or has an unexpected type"))
    }

    fn needed<T>(found: Option<T>, name: &str) -> EngineResult<T> {
        found.ok_or_else(|| Self::wrong(name))
    }

    /// A text.
    pub(crate) fn text(self, name: &str) -> EngineResult<&'d str> {
        Self::needed(self.optional_text(name)?, name)
    }

    /// A text, if there.
    pub(crate) fn optional_text(self, name: &str) -> EngineResult<Option<&'d str>> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| Self::wrong(name))).transpose()
    }

    /// A text that is an id or a name of ours.
    pub(crate) fn parsed<T: FromStr>(self, name: &str) -> EngineResult<T> {
        Self::needed(self.optional_parsed(name)?, name)
    }

    /// The same, if there.
    pub(crate) fn optional_parsed<T: FromStr>(self, name: &str) -> EngineResult<Option<T>> {
        self.optional_text(name)?
            .map(|text| text.parse().map_err(|_| Self::wrong(name)))
            .transpose()
    }

    /// A whole number, in any of BSON's number types.
    pub(crate) fn integer(self, name: &str) -> EngineResult<i64> {
        Self::needed(self.optional_integer(name)?, name)
    }

    /// The same, if there.
    pub(crate) fn optional_integer(self, name: &str) -> EngineResult<Option<i64>> {
        self.get(name)
            .map(|value| match value {
                Bson::Int32(number) => Ok(i64::from(*number)),
                Bson::Int64(number) => Ok(*number),
                Bson::Double(number) => whole_of(*number).ok_or_else(|| Self::wrong(name)),
                _ => Err(Self::wrong(name)),
            })
            .transpose()
    }

    /// A number with a fraction, if there.
    pub(crate) fn optional_float(self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Bson::Double(number) => Some(*number),
            Bson::Int32(number) => Some(f64::from(*number)),
            Bson::Int64(number) => number.to_string().parse().ok(),
            _ => None,
        }
    }

    /// A whole number that is not below zero.
    pub(crate) fn unsigned(self, name: &str) -> EngineResult<u64> {
        u64::try_from(self.integer(name)?).map_err(|_| Self::wrong(name))
    }

    /// True only if it is there and true.
    pub(crate) fn flag(self, name: &str) -> bool {
        self.get(name).and_then(Bson::as_bool).unwrap_or(false)
    }

    /// A moment, if there.
    pub(crate) fn optional_time(self, name: &str) -> EngineResult<Option<Timestamp>> {
        self.get(name)
            .map(|value| {
                let time = value.as_datetime().ok_or_else(|| Self::wrong(name))?;
                Ok(Timestamp::from_unix_ms(time.timestamp_millis()))
            })
            .transpose()
    }

    /// A sub-document, if there.
    pub(crate) fn optional_document(self, name: &str) -> EngineResult<Option<Fields<'d>>> {
        self.get(name)
            .map(|value| value.as_document().map(Fields).ok_or_else(|| Self::wrong(name)))
            .transpose()
    }

    /// A list; absent is empty.
    pub(crate) fn list(self, name: &str) -> EngineResult<&'d [Bson]> {
        self.get(name)
            .map(|value| value.as_array().map(Vec::as_slice).ok_or_else(|| Self::wrong(name)))
            .transpose()
            .map(Option::unwrap_or_default)
    }
}

/// A moment as mongoose stores it.
pub(crate) fn time(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.unix_ms()))
}

/// A whole number as mongoose stores it: 32 bits where it fits, a double beyond.
pub(crate) fn whole(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// A number as mongoose stores it: 32 bits if it is whole, a double otherwise.
pub(crate) fn number(number: f64) -> Bson {
    let is_whole = number.fract() == 0.0 && (number != 0.0 || number.is_sign_positive());
    let small = whole_of(number).and_then(|whole| i32::try_from(whole).ok());
    small.filter(|_| is_whole).map_or(Bson::Double(number), Bson::Int32)
}

/// A double that is a whole number; every such number below 2^53 is exact.
fn whole_of(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > LARGEST {
        return None;
    }
    format!("{number:.0}").parse().ok()
}
