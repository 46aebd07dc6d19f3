//! Reads columns by place, checked; writes lists as one JSON text.

use std::str::FromStr;

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::{EngineResult, Failure};

/// Columns of one row, read left to right.
pub(crate) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) const fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    fn place(&mut self) -> usize {
        let place = self.next;
        self.next = place.saturating_add(1);
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

    pub(crate) fn bytes(&mut self) -> EngineResult<&'r [u8]> {
        let place = self.place();
        Ok(self.row.try_get::<&[u8], _>(place)?)
    }

    pub(crate) fn integer(&mut self) -> EngineResult<i64> {
        let place = self.place();
        Ok(self.row.try_get::<i64, _>(place)?)
    }

    pub(crate) fn unsigned(&mut self) -> EngineResult<u64> {
        u64::try_from(self.integer()?).map_err(|_| Failure::corrupt("a stored count is negative"))
    }

    pub(crate) fn small(&mut self) -> EngineResult<u32> {
        u32::try_from(self.integer()?)
            .map_err(|_| Failure::corrupt("a stored number is out of range"))
    }

    pub(crate) fn parsed<T: FromStr>(&mut self) -> EngineResult<T> {
        parse(self.text()?)
    }

    pub(crate) fn optional_parsed<T: FromStr>(&mut self) -> EngineResult<Option<T>> {
        self.optional_text()?.map(parse).transpose()
    }
}

fn parse<T: FromStr>(text: &str) -> EngineResult<T> {
    text.parse().map_err(|_| Failure::corrupt("a stored id breaks the rule of its kind"))
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> EngineResult<String> {
    serde_json::to_string(value)
        .map_err(|error| Failure::corrupt(format!("a value has no JSON form: {error}")))
}

/// A count as SQLite keeps it; lengths in memory always fit.
pub(crate) fn stored(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
