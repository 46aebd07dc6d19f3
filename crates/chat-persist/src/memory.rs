//! The reference store: the executable meaning of the ports, in one process's memory.
//!
//! Every call takes one lock, checks everything, then writes everything: a refused call has
//! written nothing. The rules live in the submodules, one per theme. Not here: durability, other
//! processes, and limits on size.

mod accept;
mod conversations;
mod files;
mod journal;
mod maintenance;
mod messages;
mod restore;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_types::{
    AttemptKey, BranchPage, Conversation, ConversationId, ConversationPatch, FileId, FileRecord,
    IdempotencyKey, Message, MessageId, OwnerId, Scope, Summary, TenantId, Timestamp, TokenCount,
    TurnId,
};

use crate::{
    Accept, Accepted, Capabilities, Checkpoint, ConversationPage, ConversationQuery, EventPage,
    EventSegment, Fence, MessagePage, NewStep, PersistError, PersistErrorKind, PersistenceAdapter,
    Result, StepClose, StopAck, TurnClose, TurnRecord,
};

/// The most rows of one page, whatever is asked for: enough for any window, too few to stall.
const PAGE_ROWS_MAX: usize = 1_000;

/// A store in memory. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` under the lock. Nothing is awaited in there.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything there is.
#[derive(Debug, Default)]
struct State {
    spaces: HashMap<Scope, Space>,
    turns: BTreeMap<TurnName, TurnRow>,
    leases: HashMap<OwnerId, Timestamp>,
}

/// Turns are named per tenant, so that the key of a hold needs no user.
type TurnName = (TenantId, TurnId);

/// What one user of one tenant has.
#[derive(Debug, Default)]
struct Space {
    conversations: HashMap<ConversationId, ConversationRow>,
    messages: HashMap<MessageId, MessageRow>,
    keys: HashMap<IdempotencyKey, TurnId>,
    files: BTreeMap<FileId, FileRecord>,
    /// Ids of replies that are still being written, and where.
    unfinished: HashMap<MessageId, ConversationId>,
}

#[derive(Debug)]
struct ConversationRow {
    conversation: Conversation,
    /// Its messages in the order they were written.
    order: BTreeMap<u64, MessageId>,
}

#[derive(Debug)]
struct MessageRow {
    message: Message,
    /// Its place in the order of its conversation.
    rank: u64,
}

#[derive(Debug)]
struct TurnRow {
    scope: Scope,
    /// Who runs it now; the record keeps who ran it first.
    owner: OwnerId,
    /// The turn without its steps.
    record: TurnRecord,
    steps: BTreeMap<u32, StepRow>,
    segments: Vec<EventSegment>,
    log_expired: bool,
}

#[derive(Debug)]
struct StepRow {
    record: crate::StepRecord,
    settling_since: Option<Timestamp>,
}

impl TurnRow {
    fn to_record(&self) -> TurnRecord {
        TurnRecord {
            steps: self.steps.values().map(|step| step.record.clone()).collect(),
            ..self.record.clone()
        }
    }

    fn is_running(&self) -> bool {
        !self.record.state.is_terminal()
    }
}

impl Space {
    /// The message, if it is in this conversation.
    fn message_of(&self, conversation: &ConversationId, id: &MessageId) -> Option<&MessageRow> {
        let row = self.messages.get(id)?;
        (row.message.conversation == *conversation).then_some(row)
    }
}

fn refused<T>(
    kind: PersistErrorKind,
    operation: &'static str,
    detail: impl Into<String>,
) -> Result<T> {
    Err(PersistError::new(kind, operation, detail))
}

fn page_rows(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX)
}

#[async_trait]
impl PersistenceAdapter for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { multi_process: false, durable: false }
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<Option<Conversation>> {
        Ok(self.with(|state| state.conversation(scope, id)))
    }

    async fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> Result<ConversationPage> {
        Ok(self.with(|state| state.conversations(scope, query)))
    }

    async fn patch_conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation> {
        self.with(|state| state.patch_conversation(scope, id, patch, now))
    }

    async fn delete_conversation(&self, scope: &Scope, id: &ConversationId) -> Result<bool> {
        self.with(|state| state.delete_conversation(scope, id))
    }

    async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>> {
        Ok(self.with(|state| state.message(scope, conversation, id)))
    }

    async fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage> {
        self.with(|state| state.branch(scope, conversation, head, limit))
    }

    async fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage> {
        self.with(|state| state.messages(scope, conversation, after, limit))
    }

    async fn import(
        &self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()> {
        self.with(|state| state.import(scope, conversation, messages))
    }

    async fn keep_token_counts(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) -> Result<()> {
        self.with(|state| state.keep_token_counts(scope, conversation, counts));
        Ok(())
    }

    async fn keep_summary(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()> {
        self.with(|state| state.keep_summary(scope, conversation, summary))
    }

    async fn delete_subtree(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64> {
        self.with(|state| state.delete_subtree(scope, conversation, message))
    }

    async fn keep_files(&self, scope: &Scope, files: &[FileRecord]) -> Result<()> {
        self.with(|state| state.keep_files(scope, files))
    }

    async fn files(&self, scope: &Scope, ids: &[FileId]) -> Result<Vec<FileRecord>> {
        Ok(self.with(|state| state.files(scope, ids)))
    }

    async fn accept(&self, scope: &Scope, accept: &Accept) -> Result<Accepted> {
        self.with(|state| state.accept(scope, accept))
    }

    async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>> {
        Ok(self.with(|state| state.turn(scope, turn).map(TurnRow::to_record)))
    }

    async fn open_step(&self, fence: &Fence, step: &NewStep) -> Result<()> {
        self.with(|state| state.open_step(fence, step))
    }

    async fn dispatch(&self, fence: &Fence, attempt: &AttemptKey) -> Result<()> {
        self.with(|state| state.dispatch(fence, attempt))
    }

    async fn checkpoint(&self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool> {
        self.with(|state| state.checkpoint(fence, checkpoint))
    }

    async fn close_step(&self, fence: &Fence, close: &StepClose) -> Result<()> {
        self.with(|state| state.close_step(fence, close))
    }

    async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()> {
        self.with(|state| state.close_turn(fence, close))
    }

    async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage> {
        self.with(|state| state.events(scope, turn, after_seq, limit))
    }

    async fn request_stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        self.with(|state| state.request_stop(scope, turn))
    }
}
