//! What an import from LibreChat read, repaired and left out.

use chat_archive::ArchiveLine;

/// About how many documents there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibreChatTotals {
    /// Conversations.
    pub conversations: u64,
    /// Messages.
    pub messages: u64,
    /// Files.
    pub files: u64,
    /// Transactions.
    pub transactions: u64,
    /// Balances.
    pub balances: u64,
}

/// Counts of what was read, repaired and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibreChatReport {
    /// Conversations read.
    pub conversations: u64,
    /// Messages read.
    pub messages: u64,
    /// Files read.
    pub files: u64,
    /// Usage rows made of transactions.
    pub usage_rows: u64,
    /// Openings made of balances.
    pub openings: u64,
    /// Messages whose parent is not there: they became roots.
    pub orphans: u64,
    /// Circles of parents that were opened at their oldest message.
    pub cycles: u64,
    /// Messages that had the id of an older one of their conversation: left out.
    pub messages_twice: u64,
    /// Messages left out because their id is none we take, or they went while we read.
    pub messages_left_out: u64,
    /// Conversations left out because their id or user is none we take.
    pub conversations_left_out: u64,
    /// Files left out because their id or user is none we take.
    pub files_left_out: u64,
    /// Files that had the id of an older one of the same user: left out.
    pub files_twice: u64,
    /// Transactions left out because they gave credit; the balance has it.
    pub credits_left_out: u64,
    /// Transactions left out because they have no user or no amounts.
    pub transactions_left_out: u64,
    /// Usage rows whose transaction names no conversation; they stand under `librechat`.
    pub usage_without_conversation: u64,
    /// Balances left out because the user has an older one, which is the one LibreChat uses.
    pub balances_twice: u64,
    /// Balances below zero: opened with nothing.
    pub balances_negative: u64,
    /// Balances with a part of a nano-dollar, which was cut off.
    pub balances_rounded: u64,
    /// Balances left out because they have no user or no amount.
    pub balances_left_out: u64,
}

impl LibreChatReport {
    pub(super) fn count(&mut self, line: &ArchiveLine) {
        match line {
            ArchiveLine::Conversation { .. } => self.conversations += 1,
            ArchiveLine::Message { .. } => self.messages += 1,
            ArchiveLine::File { .. } => self.files += 1,
            ArchiveLine::Usage { .. } => self.usage_rows += 1,
            ArchiveLine::Opening { .. } => self.openings += 1,
            ArchiveLine::Turn { .. }
            | ArchiveLine::Account { .. }
            | ArchiveLine::Hold { .. }
            | ArchiveLine::Entry { .. } => {}
        }
    }
}
