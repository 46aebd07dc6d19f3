//! The port: what a store promises to one user.
//!
//! Every method carries a scope; somebody else's data is not found, never forbidden. Every write
//! may be repeated: the second call changes nothing and answers like the first. Dropping a future
//! of this port never drops the driver's call half-way: it may still take effect.

use std::fmt;

use async_trait::async_trait;
use chat_types::{
    AttemptKey, BranchPage, Conversation, ConversationId, ConversationPatch, FileId, FileRecord,
    Message, MessageId, Scope, Summary, Timestamp, TokenCount, TurnId,
};

use crate::{
    Accept, Accepted, Capabilities, Checkpoint, ConversationPage, ConversationQuery, EventPage,
    Fence, MessagePage, NewStep, Result, StepClose, StopAck, TurnClose, TurnRecord,
};

/// Conversations, messages, the turn journal and the event log of one store.
#[async_trait]
pub trait PersistenceAdapter: fmt::Debug + Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Reads a conversation.
    async fn conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<Option<Conversation>>;

    /// Lists conversations, newest change first, ties by id descending.
    async fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> Result<ConversationPage>;

    /// Changes a conversation and returns it as it is now. An empty patch changes nothing.
    ///
    /// # Errors
    /// `NotFound`; `ParentMissing` if the patch names a head that is not in the conversation.
    async fn patch_conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation>;

    /// Deletes a conversation with its messages, journal and events. False if there was none.
    ///
    /// # Errors
    /// `Conflict` while one of its turns is running (stop it first), or has a step in state
    /// `settling`: its amounts are not lost before the ledger has them.
    async fn delete_conversation(&self, scope: &Scope, id: &ConversationId) -> Result<bool>;

    /// Reads a message of a conversation.
    async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>>;

    /// Reads up to `limit` messages from `head` towards the root, newest first. Costs O(`limit`),
    /// however long the conversation is, and ends on a cycle.
    ///
    /// # Errors
    /// `NotFound` if `head` is not in the conversation.
    async fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage>;

    /// Reads up to `limit` messages of all branches in the order they were written, after `after`.
    async fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage>;

    /// Writes a whole conversation (a fork, an import) in one transaction: created if missing,
    /// messages that are already there with the same content skipped. Of these, one without a
    /// summary gets the one that arrives; a summary that is there stays.
    ///
    /// # Errors
    /// `ParentMissing` if a message comes before its parent; `Conflict` if an id is taken by
    /// another message. Then nothing was written.
    async fn import(
        &self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()>;

    /// Keeps token counts with their messages; a count that is there already stays.
    async fn keep_token_counts(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) -> Result<()>;

    /// Keeps a summary with the message it covers up to, `covers_to`, whose parts stay as they are.
    /// The same again changes nothing; another one takes its place. It goes with its message.
    ///
    /// # Errors
    /// `NotFound` if the conversation has no such message.
    async fn keep_summary(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()>;

    /// Deletes a message and everything below it; returns how many went. 0 if there was none. The
    /// conversation's head moves to the message's parent if it lay below.
    ///
    /// # Errors
    /// `Conflict` while a turn is writing below it.
    async fn delete_subtree(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64>;

    /// Keeps what is known of files, all or none. The same record again changes nothing, also twice
    /// in one call. Files belong to the scope, not to a conversation: deleting a conversation
    /// leaves them. Their bytes are kept elsewhere.
    ///
    /// # Errors
    /// `Conflict` if an id stands for another record; then nothing was written.
    async fn keep_files(&self, scope: &Scope, files: &[FileRecord]) -> Result<()>;

    /// Reads files in the order asked; those the scope does not have are left out.
    async fn files(&self, scope: &Scope, ids: &[FileId]) -> Result<Vec<FileRecord>>;

    /// Makes a turn durable: conversation (if new), user message, turn row, idempotency key and
    /// first events in one transaction. The conversation's head becomes the reply-to-be.
    ///
    /// # Errors
    /// `ParentMissing`, `ParentUnfinished`; `NotFound` if an existing user message that is to be
    /// answered again is not there; `IdempotencyConflict` if the key stands for another request;
    /// `Conflict` if a new id is taken. Then nothing was written.
    async fn accept(&self, scope: &Scope, accept: &Accept) -> Result<Accepted>;

    /// Reads a turn with its steps.
    async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>>;

    /// Opens a step (state `held`, or `dispatched` with attempt 1) and sets the turn running.
    /// The same step again changes nothing.
    ///
    /// # Errors
    /// `Fenced`; `IllegalState` if the turn has ended.
    async fn open_step(&self, fence: &Fence, step: &NewStep) -> Result<()>;

    /// Journals an attempt before its bytes leave. The same attempt again changes nothing.
    ///
    /// # Errors
    /// `Fenced`; `IllegalState` if the step is closed or an attempt in between is missing.
    async fn dispatch(&self, fence: &Fence, attempt: &AttemptKey) -> Result<()>;

    /// Appends events and returns whether a stop was asked for. The same events again change
    /// nothing.
    ///
    /// # Errors
    /// `Fenced`; `IllegalState` if the turn has ended or events in between are missing.
    async fn checkpoint(&self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool>;

    /// Closes one step of a turn that goes on: `settling` with its amounts, or `released`.
    ///
    /// # Errors
    /// `Fenced`; `IllegalState` if the step is not open.
    async fn close_step(&self, fence: &Fence, close: &StepClose) -> Result<()>;

    /// Ends the turn in one commit: reply, open steps with their amounts, last events, state. The
    /// conversation's head becomes the reply, or the user message if nothing was kept, unless it
    /// was moved meanwhile. Who gets `Ok` has won, and settles.
    ///
    /// # Errors
    /// `Fenced` if another owner took over; `IllegalState` if it had ended already.
    async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()>;

    /// Reads up to `limit` segments of the event log that hold events after `after_seq`.
    ///
    /// # Errors
    /// `NotFound` if the scope has no such turn.
    async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage>;

    /// Asks a turn to stop, from any process.
    ///
    /// # Errors
    /// `NotFound` if the scope has no such turn.
    async fn request_stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck>;
}

const _DYN_SAFE: fn(&dyn PersistenceAdapter) = |_| {};
