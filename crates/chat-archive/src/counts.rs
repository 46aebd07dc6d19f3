//! How many rows of each kind went through: a report, a progress bar, and the last line.

use serde::{Deserialize, Serialize};

use crate::ArchiveLine;

/// Lines of an archive by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Conversations.
    pub conversations: u64,
    /// Messages of all branches.
    pub messages: u64,
    /// Files, as far as they are known.
    pub files: u64,
    /// Ended turns with their steps.
    pub turns: u64,
    /// Accounts with their totals.
    pub accounts: u64,
    /// Accounts that are opened with a grant.
    pub openings: u64,
    /// Holds.
    pub holds: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// Usage rows.
    pub usage_rows: u64,
}

impl Counts {
    /// Counts one line.
    pub fn add(&mut self, line: &ArchiveLine) {
        let count = match line {
            ArchiveLine::Conversation { .. } => &mut self.conversations,
            ArchiveLine::Message { .. } => &mut self.messages,
            ArchiveLine::File { .. } => &mut self.files,
            ArchiveLine::Turn { .. } => &mut self.turns,
            ArchiveLine::Account { .. } => &mut self.accounts,
            ArchiveLine::Opening { .. } => &mut self.openings,
            ArchiveLine::Hold { .. } => &mut self.holds,
            ArchiveLine::Entry { .. } => &mut self.entries,
            ArchiveLine::Usage { .. } => &mut self.usage_rows,
        };
        *count = count.saturating_add(1);
    }

    /// All lines together.
    #[must_use]
    pub fn total(&self) -> u64 {
        [
            self.conversations,
            self.messages,
            self.files,
            self.turns,
            self.accounts,
            self.openings,
            self.holds,
            self.entries,
            self.usage_rows,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}
