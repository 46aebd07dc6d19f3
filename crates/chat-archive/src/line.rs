//! What an archive holds, line by line, in the words of the ports.
//!
//! The JSON form is `record`'s; whoever reads another system's database makes these lines and gives
//! them to an [`Importer`](crate::Importer) without any JSON between.

use chat_balance::{Account, AccountSpec, Entry, Hold};
use chat_persist::TurnRecord;
use chat_types::{Conversation, FileRecord, Message, Scope, TenantId, Timestamp};
use chat_usage::UsageRow;

/// One line between the header and the end.
///
/// The order that matters: a conversation comes before its messages, which follow it at once,
/// parents first; a turn comes after its conversation; entries come in the order they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchiveLine {
    /// A conversation. Its head may be a message that comes later.
    Conversation {
        /// Whose.
        scope: Scope,
        /// Its own data.
        conversation: Conversation,
    },
    /// A message of the conversation before it.
    Message {
        /// The message, with its token counts.
        message: Message,
    },
    /// What is known of a file; not its bytes.
    File {
        /// Whose.
        scope: Scope,
        /// The record.
        file: FileRecord,
    },
    /// A turn that has ended, with its steps; not its event log.
    Turn {
        /// Whose.
        scope: Scope,
        /// The turn.
        turn: Box<TurnRecord>,
    },
    /// An account with its totals; its holds and entries follow somewhere.
    Account {
        /// The tenant it lives in.
        tenant: TenantId,
        /// The account.
        account: Account,
    },
    /// An account that is opened with a grant, or left as it is if it is there: a balance that
    /// comes from a system whose books are not carried over.
    Opening {
        /// Whose.
        scope: Scope,
        /// What it is opened with.
        spec: AccountSpec,
        /// When.
        at: Timestamp,
    },
    /// A hold.
    Hold {
        /// The hold.
        hold: Hold,
    },
    /// An entry.
    Entry {
        /// The entry.
        entry: Entry,
    },
    /// A usage row.
    Usage {
        /// Whose.
        scope: Scope,
        /// The row.
        row: Box<UsageRow>,
    },
}
