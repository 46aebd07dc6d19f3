//! Reads columns by place, checked: what does not fit is a corrupt row, never a wrong value.

use std::str::FromStr;

use chat_types::{Money, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};

use crate::error::{EngineResult, Failure};
use crate::escape::unescape;

/// A statement with its parameters.
pub(crate) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// Columns of one row, read left to right.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r PgRow) -> Self {
        Self::from(row, 0)
    }

    /// Starts at column `first`.
    pub(crate) fn from(row: &'r PgRow, first: usize) -> Self {
        Self { row, next: first }
    }

    fn place(&mut self) -> usize {
        let place = self.next;
        self.next += 1;
        place
    }

    pub(crate) fn text(&mut self) -> EngineResult<&'r str> {
        let place = self.place();
        Ok(self.row.try_get::<&str, _>(place)?)
    }

    pub(crate) fn optional_text(&mut self) -> EngineResult<Option<&'r str>> {
        let place = self.place();
        Ok(self.row.try_get::<Option<&str>, _>(place)?)
    }

    pub(crate) fn integer(&mut self) -> EngineResult<i64> {
        let place = self.place();
        Ok(self.row.try_get::<i64, _>(place)?)
    }

    pub(crate) fn optional_integer(&mut self) -> EngineResult<Option<i64>> {
        let place = self.place();
        Ok(self.row.try_get::<Option<i64>, _>(place)?)
    }

    pub(crate) fn flag(&mut self) -> EngineResult<bool> {
        let place = self.place();
        Ok(self.row.try_get::<bool, _>(place)?)
    }

    pub(crate) fn optional_flag(&mut self) -> EngineResult<Option<bool>> {
        let place = self.place();
        Ok(self.row.try_get::<Option<bool>, _>(place)?)
    }

    /// A text that was stored escaped.
    pub(crate) fn escaped(&mut self) -> EngineResult<String> {
        unescape(self.text()?)
    }

    pub(crate) fn optional_escaped(&mut self) -> EngineResult<Option<String>> {
        self.optional_text()?.map(unescape).transpose()
    }

    pub(crate) fn unsigned(&mut self) -> EngineResult<u64> {
        u64::try_from(self.integer()?).map_err(|_| Failure::corrupt("a stored count is negative"))
    }

    pub(crate) fn small(&mut self) -> EngineResult<u32> {
        u32::try_from(self.integer()?)
            .map_err(|_| Failure::corrupt("a stored number is out of range"))
    }

    pub(crate) fn money(&mut self) -> EngineResult<Money> {
        Ok(Money::from_nano_usd(self.integer()?))
    }

    pub(crate) fn time(&mut self) -> EngineResult<Timestamp> {
        Ok(Timestamp::from_unix_ms(self.integer()?))
    }

    pub(crate) fn optional_time(&mut self) -> EngineResult<Option<Timestamp>> {
        Ok(self.optional_integer()?.map(Timestamp::from_unix_ms))
    }

    pub(crate) fn parsed<T: FromStr>(&mut self) -> EngineResult<T> {
        parse(self.text()?)
    }

    pub(crate) fn optional_parsed<T: FromStr>(&mut self) -> EngineResult<Option<T>> {
        self.optional_text()?.map(parse).transpose()
    }

    pub(crate) fn named<T>(&mut self, from_stored: fn(&str) -> Option<T>) -> EngineResult<T> {
        let name = self.text()?;
        from_stored(name)
            .ok_or_else(|| Failure::corrupt(format!("a stored name is unknown: {name}")))
    }
}

pub(crate) fn parse<T: FromStr>(text: &str) -> EngineResult<T> {
    text.parse().map_err(|_| Failure::corrupt("a stored id or name breaks the rule of its kind"))
}

pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> EngineResult<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::corrupt(format!("a stored record cannot be read: {error}")))
}

pub(crate) fn encode<T: Serialize>(value: &T) -> EngineResult<String> {
    serde_json::to_string(value)
        .map_err(|error| Failure::corrupt(format!("a value has no JSON form: {error}")))
}

/// A count as the engine keeps it. Beyond 2^63 nothing real is counted; it is refused, not wrapped.
pub(crate) fn stored(count: u64) -> EngineResult<i64> {
    i64::try_from(count).map_err(|_| {
        Failure::new(crate::error::FailureKind::TooLarge, "a count is larger than 2^63 - 1")
    })
}
