//! Places: where a scan that counts rows goes on without counting them again.
//!
//! The ports page through entries and usage rows by how many were seen; the tables are read in the
//! order of `pk`, which rises with each insert and has gaps. The store remembers the `pk` it ended a
//! page with, so the next page starts behind it: a scan, page after page, sees every row that was
//! there when it began once, however long it takes. A place that is not remembered is found by
//! counting from the nearest one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many ends of pages are remembered: a few scans at once, the newest of each.
const PLACES_MAX: usize = 64;

/// The end of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many rows there are up to it.
    pub(crate) count: u64,
    /// The last row's.
    pub(crate) pk: i64,
}

impl Place {
    /// How many rows are between this place and `count`.
    pub(crate) fn rows_to(self, count: u64) -> i64 {
        i64::try_from(count.saturating_sub(self.count)).unwrap_or(i64::MAX)
    }
}

/// The ends of the newest pages of one table.
#[derive(Debug, Default)]
pub(crate) struct Places {
    newest: Mutex<VecDeque<Place>>,
}

impl Places {
    /// The end nearest to `count` that is not behind it, or the beginning.
    pub(crate) fn nearest(&self, count: u64) -> Place {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.iter().filter(|place| place.count <= count);
        known.max_by_key(|place| place.count).copied().unwrap_or_default()
    }

    /// A page ended here. What was known of this count before is forgotten: the newest scan is
    /// right.
    pub(crate) fn remember(&self, place: Place) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.retain(|known| known.count != place.count);
        newest.push_front(place);
        newest.truncate(PLACES_MAX);
    }
}

/// Rows of a scan by count, and where they end.
pub(crate) struct WrittenPage<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) last_pk: Option<i64>,
}

impl<T> WrittenPage<T> {
    /// The rows; where they end is noted for the next page.
    pub(crate) fn remembered_in(self, places: &Places, after: u64) -> Vec<T> {
        if let Some(pk) = self.last_pk {
            let read = u64::try_from(self.rows.len()).unwrap_or_default();
            places.remember(Place { count: after.saturating_add(read), pk });
        }
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(count: u64, pk: i64) -> Place {
        Place { count, pk }
    }

    #[test]
    fn a_scan_goes_on_behind_its_last_row() {
        let places = Places::default();
        assert_eq!(places.nearest(10), place(0, 0));
        places.remember(place(10, 11));
        places.remember(place(20, 24));
        assert_eq!(places.nearest(9), place(0, 0));
        assert_eq!(places.nearest(10), place(10, 11));
        assert_eq!(places.nearest(25), place(20, 24));
        places.remember(place(10, 12));
        assert_eq!(places.nearest(10), place(10, 12));
    }

    #[test]
    fn the_oldest_places_are_forgotten() {
        let places = Places::default();
        for count in 1..=1_000 {
            places.remember(place(count, 1));
        }
        assert_eq!(places.nearest(900), place(0, 0));
        assert_eq!(places.nearest(1_000), place(1_000, 1));
    }
}
