//! Places: where a scan that counts rows goes on without counting them again.
//!
//! The ports page through entries and usage rows by how many were seen; the collections are read in
//! the order of `written` (see [`Written`]). The store remembers which row it
//! ended a page with, so the next page starts behind that row: a scan, page after page, sees every
//! row that was there when it began once, however long it takes. A place that is not remembered is
//! found by counting from the nearest one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use mongodb::ClientSession;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, Timestamp, doc};

use crate::error::{EngineResult, Failure};
use crate::unit::Unit;

/// How many ends of pages are remembered: a few scans at once, the newest of each.
const PLACES_MAX: usize = 64;

/// What the rows of one transaction say in `written`: when, by which, and which of its rows.
///
/// The time is the cluster's own logical clock as the transaction's first read heard it. It is
/// above that of everything that was committed then, whoever wrote it and whatever his wall clock
/// says, and below that of everything written after the transaction's commit.
#[derive(Debug)]
pub(crate) struct Written {
    at: Timestamp,
    by: ObjectId,
    rows: i64,
}

impl Written {
    /// For the rows of this unit, which must have read something already.
    pub(crate) fn by(unit: &Unit<'_>) -> EngineResult<Self> {
        match unit.session.as_ref().and_then(ClientSession::operation_time) {
            Some(at) => Ok(Self { at, by: unit.object_ids.next(None), rows: 0 }),
            None => Err(Failure::corrupt("the server has not said what time it is")),
        }
    }

    /// The next row's.
    pub(crate) fn next(&mut self) -> Document {
        self.rows = self.rows.saturating_add(1);
        doc! { "at": self.at, "by": self.by, "row": self.rows }
    }
}

/// Where a row stands in the written order: its `written`.
pub(crate) type Place = Document;

/// The place of a stored row.
pub(crate) fn place_of(row: &Document) -> EngineResult<Place> {
    row.get_document("written")
        .cloned()
        .map_err(|_| Failure::corrupt("a stored row does not say when it was written"))
}

/// Rows behind this place.
pub(crate) fn behind(place: &Place) -> Document {
    doc! { "written": { "$gt": place } }
}

/// The order of writing.
pub(crate) fn written_order() -> Document {
    doc! { "written": 1 }
}

/// The ends of the newest pages of one collection: how many rows, and which was the last.
#[derive(Debug, Default)]
pub(crate) struct Places {
    newest: Mutex<VecDeque<(u64, Place)>>,
}

impl Places {
    /// The end nearest to `after` that is not behind it, and how many rows are left to skip.
    pub(crate) fn nearest(&self, after: u64) -> (Option<Place>, u64) {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let nearest =
            newest.iter().filter(|(count, _)| *count <= after).max_by_key(|(count, _)| *count);
        match nearest {
            Some((count, place)) => (Some(place.clone()), after.saturating_sub(*count)),
            None => (None, after),
        }
    }

    /// A page ended with this row, `count` rows after the first. What was known of this count
    /// before is forgotten: the newest scan is right.
    pub(crate) fn remember(&self, count: u64, place: Place) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.retain(|(known, _)| *known != count);
        newest.push_front((count, place));
        newest.truncate(PLACES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(increment: u32) -> Place {
        doc! { "at": Timestamp { time: 7, increment } }
    }

    #[test]
    fn a_scan_goes_on_behind_its_last_row() {
        let places = Places::default();
        assert_eq!(places.nearest(10), (None, 10));
        places.remember(10, place(1));
        places.remember(20, place(2));
        assert_eq!(places.nearest(9), (None, 9));
        assert_eq!(places.nearest(10), (Some(place(1)), 0));
        assert_eq!(places.nearest(25), (Some(place(2)), 5));
        places.remember(10, place(3));
        assert_eq!(places.nearest(10), (Some(place(3)), 0));
    }

    #[test]
    fn the_oldest_places_are_forgotten() {
        let places = Places::default();
        for count in 1..=1_000 {
            places.remember(count, place(1));
        }
        assert_eq!(places.nearest(900), (None, 900));
        assert_eq!(places.nearest(1_000), (Some(place(1)), 0));
    }
}
