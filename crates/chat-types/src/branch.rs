//! A page of a branch: how history is read, newest first, along parent pointers.

use crate::{Message, MessageId};

/// Up to `limit` messages of one branch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BranchPage {
    /// Newest first: the head asked for, its parent, and so on.
    pub messages: Vec<Message>,
    /// Where the next page starts: the parent of the last message here; none at the root.
    pub next: Option<MessageId>,
}
