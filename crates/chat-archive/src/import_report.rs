//! How to import, and what came of it.

use crate::Counts;

/// How to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Read and count everything, look up which conversations are there, and write nothing.
    pub dry_run: bool,
    /// Leave accounts, holds and entries out instead of refusing them where there is no ledger.
    pub leave_ledger_out: bool,
    /// Messages and files that are there and differ stay as they are and are counted, instead of
    /// refusing the page: the source goes on, and what was carried over may be edited in it.
    pub keep_what_differs: bool,
}

/// What an import read and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read, whether or not they were new.
    pub lines: Counts,
    /// Conversations that were there before; their messages were compared, new ones added.
    pub conversations_there: u64,
    /// Conversations left without a head because the message that it names did not come.
    pub heads_missing: u64,
    /// Turns left out because their conversation is not there: it was deleted while the archive
    /// was written.
    pub turns_homeless: u64,
    /// Accounts, openings, holds and entries left out because that was asked for.
    pub ledger_left_out: u64,
    /// Messages that differ from those that are there, which stay: see
    /// [`ImportOptions::keep_what_differs`]. A dry run does not compare.
    pub messages_kept: u64,
    /// Files of which the same is true.
    pub files_kept: u64,
}
