//! Refusals by a rule of the ports, and the bounds all pages share.

use chat_persist::{PersistError, PersistErrorKind};

use crate::error::{Outcome, Stop};

/// The most rows of one page, whatever is asked for: enough for any window, too few to stall.
pub(crate) const PAGE_ROWS_MAX: i64 = 1_000;

pub(crate) fn refused<T>(
    kind: PersistErrorKind,
    operation: &'static str,
    detail: impl Into<String>,
) -> Outcome<T> {
    Err(Stop::Refused(PersistError::new(kind, operation, detail)))
}

pub(crate) fn page_rows(limit: u32) -> i64 {
    i64::from(limit).clamp(1, PAGE_ROWS_MAX)
}

pub(crate) fn page_rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX)
}
