//! How history is read: page by page, newest first, along parent pointers.
//!
//! A reader never loads "all messages": the caller stops asking when it has enough, so reading
//! costs what is used and not what is stored. Not here: who may read (the implementor is bound
//! to a scope and a conversation when it is made), and the tree as a whole (`MessageThread`).

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;
use chat_types::{BranchPage, Message, MessageId};

/// The most messages one page may hold.
///
/// 256 messages of a few hundred bytes stay below what one database reply should carry, and a
/// window of 128,000 tokens rarely holds more than a few such pages.
pub const BRANCH_PAGE_MESSAGES_MAX: usize = 256;

/// Why a page could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BranchErrorKind {
    /// The head is no message of this conversation and scope.
    NotFound,
    /// The store did not answer; asking again may succeed.
    Unavailable,
}

impl BranchErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "no such message in this conversation",
            Self::Unavailable => "the history could not be read",
        }
    }
}

/// A page that could not be read, with the store's own error as its source.
#[derive(Debug, thiserror::Error)]
#[error("{}", kind.text())]
pub struct BranchError {
    kind: BranchErrorKind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BranchError {
    /// The head is not there.
    #[must_use]
    pub const fn not_found() -> Self {
        Self { kind: BranchErrorKind::NotFound, source: None }
    }

    /// The store failed with `source`.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: BranchErrorKind::Unavailable, source: Some(source.into()) }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> BranchErrorKind {
        self.kind
    }

    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            BranchErrorKind::NotFound => "message_not_found",
            BranchErrorKind::Unavailable => "history_unavailable",
        }
    }

    /// Asking again may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, BranchErrorKind::Unavailable)
    }
}

/// Reads one conversation's branches; bound to its scope and conversation when it is made.
#[async_trait]
pub trait BranchReader: Debug + Send + Sync {
    /// Up to `limit` messages from `head` towards the root, newest first.
    ///
    /// `limit` is taken as 1 to [`BRANCH_PAGE_MESSAGES_MAX`]. The first message is `head` itself;
    /// each next one is the parent of the one before. `next` names the message that the following
    /// page starts at, none at the root or when the parent is not there (a broken chain ends, it
    /// is no error). A cycle in the stored tree is the caller's to notice: every page is bounded.
    /// Reading changes nothing, so a repeat returns the same page.
    ///
    /// # Errors
    /// `NotFound` if `head` is no message of this conversation; `Unavailable` if the store did
    /// not answer (safe to retry).
    async fn page(&self, head: &MessageId, limit: usize) -> Result<BranchPage, BranchError>;
}

/// The reference: messages in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBranch {
    by_id: HashMap<MessageId, Message>,
}

impl MemoryBranch {
    /// Holds `messages`, in any order; of two with one id the first wins.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut by_id = HashMap::new();
        for message in messages {
            by_id.entry(message.id.clone()).or_insert(message);
        }
        Self { by_id }
    }
}

#[async_trait]
impl BranchReader for MemoryBranch {
    async fn page(&self, head: &MessageId, limit: usize) -> Result<BranchPage, BranchError> {
        let limit = limit.clamp(1, BRANCH_PAGE_MESSAGES_MAX);
        let mut message = self.by_id.get(head).ok_or_else(BranchError::not_found)?;
        let mut messages = vec![message.clone()];
        while let Some(parent) = message.parent.as_ref().and_then(|id| self.by_id.get(id)) {
            if messages.len() == limit {
                let next = Some(parent.id.clone());
                return Ok(BranchPage { messages, next });
            }
            messages.push(parent.clone());
            message = parent;
        }
        Ok(BranchPage { messages, next: None })
    }
}
