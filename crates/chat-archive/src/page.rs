//! A page: rows of one kind that are written together.

use chat_balance::LedgerRows;
use chat_persist::TurnRecord;
use chat_types::{FileRecord, Scope};
use chat_usage::UsageRow;

/// Rows of one page: few enough for one transaction of any engine, enough to hide its latency.
pub(crate) const PAGE_ROWS_MAX: usize = 500;

/// Rows of one kind that wait to be written together.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Rows,
    pub(crate) count: usize,
    pub(crate) first_line: u64,
}

#[derive(Debug, Default)]
pub(crate) enum Rows {
    #[default]
    None,
    Files(Scope, Vec<FileRecord>),
    Turns(Vec<(Scope, TurnRecord)>),
    Ledger(LedgerRows),
    Usage(Scope, Vec<UsageRow>),
}
