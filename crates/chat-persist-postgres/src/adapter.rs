//! The persistence port: each method hands one command to the runner.

use async_trait::async_trait;
use chat_persist::{
    Accept, Accepted, Capabilities, Checkpoint, ConversationPage, ConversationQuery, EventPage,
    Fence, MessagePage, NewStep, PersistenceAdapter, Result, StepClose, StopAck, TurnClose,
    TurnRecord,
};
use chat_types::{
    AttemptKey, BranchPage, Conversation, ConversationId, ConversationPatch, FileId, FileRecord,
    Message, MessageId, Scope, Summary, Timestamp, TokenCount, TurnId,
};

use crate::PostgresStore;
use crate::branch::ReadBranch;
use crate::close::CloseTurn;
use crate::conversations::{
    DeleteConversation, ListConversations, PatchConversation, ReadConversation,
};
use crate::events::{ReadEvents, RequestStop};
use crate::files::{KeepFiles, ReadFiles};
use crate::import::Import;
use crate::journal::AcceptTurn;
use crate::messages::{DeleteSubtree, KeepSummary, KeepTokenCounts, ReadMessage, ReadMessages};
use crate::steps::{AppendEvents, CloseStep, Dispatch, OpenStep};
use crate::turns::ReadTurn;

#[async_trait]
impl PersistenceAdapter for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { multi_process: true, durable: true }
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<Option<Conversation>> {
        let read = ReadConversation { scope: scope.clone(), id: id.clone() };
        self.read(read).await.map_err(|failure| failure.persist("read conversation"))
    }

    async fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> Result<ConversationPage> {
        let read = ListConversations { scope: scope.clone(), query: query.clone() };
        self.read(read).await.map_err(|failure| failure.persist("list conversations"))
    }

    async fn patch_conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation> {
        let write =
            PatchConversation { scope: scope.clone(), id: id.clone(), patch: patch.clone(), now };
        self.write(write).await.map_err(|failure| failure.persist("patch conversation"))?
    }

    async fn delete_conversation(&self, scope: &Scope, id: &ConversationId) -> Result<bool> {
        let write = DeleteConversation { scope: scope.clone(), id: id.clone() };
        self.write(write).await.map_err(|failure| failure.persist("delete conversation"))?
    }

    async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>> {
        let read = ReadMessage {
            scope: scope.clone(),
            conversation: conversation.clone(),
            id: id.clone(),
        };
        self.read(read).await.map_err(|failure| failure.persist("read message"))
    }

    async fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage> {
        let read = ReadBranch {
            scope: scope.clone(),
            conversation: conversation.clone(),
            head: head.clone(),
            limit,
        };
        self.read(read).await.map_err(|failure| failure.persist("read branch"))?
    }

    async fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage> {
        let read = ReadMessages {
            scope: scope.clone(),
            conversation: conversation.clone(),
            after: after.cloned(),
            limit,
        };
        self.read(read).await.map_err(|failure| failure.persist("read messages"))?
    }

    async fn import(
        &self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()> {
        let write = Import {
            scope: scope.clone(),
            conversation: conversation.clone(),
            messages: messages.to_vec(),
        };
        self.write(write).await.map_err(|failure| failure.persist("import conversation"))?
    }

    async fn keep_token_counts(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) -> Result<()> {
        if counts.is_empty() {
            return Ok(());
        }
        let write = KeepTokenCounts {
            scope: scope.clone(),
            conversation: conversation.clone(),
            counts: counts.to_vec(),
        };
        self.write(write).await.map_err(|failure| failure.persist("keep token counts"))
    }

    async fn keep_summary(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()> {
        let write = KeepSummary {
            scope: scope.clone(),
            conversation: conversation.clone(),
            summary: summary.clone(),
        };
        self.write(write).await.map_err(|failure| failure.persist("keep summary"))?
    }

    async fn delete_subtree(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64> {
        let write = DeleteSubtree {
            scope: scope.clone(),
            conversation: conversation.clone(),
            message: message.clone(),
        };
        self.write(write).await.map_err(|failure| failure.persist("delete subtree"))?
    }

    async fn keep_files(&self, scope: &Scope, files: &[FileRecord]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let write = KeepFiles { scope: scope.clone(), files: files.to_vec() };
        self.write(write).await.map_err(|failure| failure.persist("keep files"))?
    }

    async fn files(&self, scope: &Scope, ids: &[FileId]) -> Result<Vec<FileRecord>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let read = ReadFiles { scope: scope.clone(), ids: ids.to_vec() };
        self.read(read).await.map_err(|failure| failure.persist("read files"))
    }

    async fn accept(&self, scope: &Scope, accept: &Accept) -> Result<Accepted> {
        let write = AcceptTurn { scope: scope.clone(), accept: accept.clone() };
        self.write(write).await.map_err(|failure| failure.persist("accept turn"))?
    }

    async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>> {
        let read = ReadTurn { scope: scope.clone(), turn: turn.clone() };
        self.read(read).await.map_err(|failure| failure.persist("read turn"))
    }

    async fn open_step(&self, fence: &Fence, step: &NewStep) -> Result<()> {
        let write = OpenStep { fence: fence.clone(), step: step.clone() };
        self.write(write).await.map_err(|failure| failure.persist("open step"))?
    }

    async fn dispatch(&self, fence: &Fence, attempt: &AttemptKey) -> Result<()> {
        let write = Dispatch { fence: fence.clone(), attempt: attempt.clone() };
        self.write(write).await.map_err(|failure| failure.persist("dispatch"))?
    }

    async fn checkpoint(&self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool> {
        let write = AppendEvents { fence: fence.clone(), checkpoint: checkpoint.clone() };
        self.write(write).await.map_err(|failure| failure.persist("checkpoint"))?
    }

    async fn close_step(&self, fence: &Fence, close: &StepClose) -> Result<()> {
        let write = CloseStep { fence: fence.clone(), close: close.clone() };
        self.write(write).await.map_err(|failure| failure.persist("close step"))?
    }

    async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()> {
        let write = CloseTurn { fence: fence.clone(), close: close.clone() };
        self.write(write).await.map_err(|failure| failure.persist("close turn"))?
    }

    async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage> {
        let read = ReadEvents { scope: scope.clone(), turn: turn.clone(), after_seq, limit };
        self.read(read).await.map_err(|failure| failure.persist("read events"))?
    }

    async fn request_stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        let write = RequestStop { scope: scope.clone(), turn: turn.clone() };
        self.write(write).await.map_err(|failure| failure.persist("request stop"))?
    }
}
