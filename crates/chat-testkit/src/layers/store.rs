//! `Layered` as a store of conversations.

use async_trait::async_trait;
use chat_persist::{
    Accept, Accepted, Capabilities, Checkpoint, ConversationPage, ConversationQuery, EventPage,
    Expired, Fence, LapsedTurn, Maintenance, MessagePage, NewStep, OpenStep, PersistenceAdapter,
    Result, StepClose, StopAck, TurnClose, TurnRecord,
};
use chat_types::{
    AttemptKey, BranchPage, Conversation, ConversationId, ConversationPatch, FileId, FileRecord,
    Message, MessageId, OwnerId, Scope, StepKey, Summary, TenantId, Timestamp, TokenCount, TurnId,
};

use super::{After, Layered, PortCall, layered};

#[async_trait]
impl PersistenceAdapter for Layered {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<Option<Conversation>> {
        layered!(self, Conversation, self.store.conversation(scope, id).await)
    }

    async fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> Result<ConversationPage> {
        layered!(self, Conversations, self.store.conversations(scope, query).await)
    }

    async fn patch_conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation> {
        let store = &self.store;
        layered!(self, PatchConversation, store.patch_conversation(scope, id, patch, now).await)
    }

    async fn delete_conversation(&self, scope: &Scope, id: &ConversationId) -> Result<bool> {
        layered!(self, DeleteConversation, self.store.delete_conversation(scope, id).await)
    }

    async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>> {
        layered!(self, Message, self.store.message(scope, conversation, id).await)
    }

    async fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage> {
        layered!(self, Branch, self.store.branch(scope, conversation, head, limit).await)
    }

    async fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage> {
        layered!(self, Messages, self.store.messages(scope, conversation, after, limit).await)
    }

    async fn import(
        &self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()> {
        layered!(self, Import, self.store.import(scope, conversation, messages).await)
    }

    async fn keep_token_counts(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) -> Result<()> {
        let store = &self.store;
        layered!(self, KeepTokenCounts, store.keep_token_counts(scope, conversation, counts).await)
    }

    async fn keep_summary(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()> {
        layered!(self, KeepSummary, self.store.keep_summary(scope, conversation, summary).await)
    }

    async fn delete_subtree(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64> {
        let store = &self.store;
        layered!(self, DeleteSubtree, store.delete_subtree(scope, conversation, message).await)
    }

    async fn accept(&self, scope: &Scope, accept: &Accept) -> Result<Accepted> {
        layered!(self, Accept, self.store.accept(scope, accept).await)
    }

    async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>> {
        layered!(self, Turn, self.store.turn(scope, turn).await)
    }

    async fn open_step(&self, fence: &Fence, step: &NewStep) -> Result<()> {
        layered!(self, OpenStep, self.store.open_step(fence, step).await)
    }

    async fn dispatch(&self, fence: &Fence, attempt: &AttemptKey) -> Result<()> {
        layered!(self, Dispatch, self.store.dispatch(fence, attempt).await)
    }

    async fn checkpoint(&self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool> {
        layered!(self, Checkpoint, self.store.checkpoint(fence, checkpoint).await)
    }

    async fn close_step(&self, fence: &Fence, close: &StepClose) -> Result<()> {
        layered!(self, CloseStep, self.store.close_step(fence, close).await)
    }

    async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()> {
        layered!(self, CloseTurn, self.store.close_turn(fence, close).await)
    }

    async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage> {
        layered!(self, Events, self.store.events(scope, turn, after_seq, limit).await)
    }

    async fn request_stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        layered!(self, RequestStop, self.store.request_stop(scope, turn).await)
    }

    async fn keep_files(&self, scope: &Scope, files: &[FileRecord]) -> Result<()> {
        layered!(self, KeepFiles, self.store.keep_files(scope, files).await)
    }

    async fn files(&self, scope: &Scope, ids: &[FileId]) -> Result<Vec<FileRecord>> {
        layered!(self, Files, self.store.files(scope, ids).await)
    }
}

#[async_trait]
impl Maintenance for Layered {
    async fn heartbeat(&self, owner: &OwnerId, lease_until: Timestamp) -> Result<()> {
        layered!(self, Heartbeat, self.maintenance.heartbeat(owner, lease_until).await)
    }

    async fn retire(&self, owner: &OwnerId) -> Result<()> {
        layered!(self, Retire, self.maintenance.retire(owner).await)
    }

    async fn stop_flags(&self, owner: &OwnerId) -> Result<Vec<TurnId>> {
        layered!(self, StopFlags, self.maintenance.stop_flags(owner).await)
    }

    async fn lapsed_turns(&self, now: Timestamp, limit: u32) -> Result<Vec<LapsedTurn>> {
        layered!(self, LapsedTurns, self.maintenance.lapsed_turns(now, limit).await)
    }

    async fn take_over(&self, lapsed: &LapsedTurn, owner: &OwnerId) -> Result<Option<Fence>> {
        layered!(self, TakeOver, self.maintenance.take_over(lapsed, owner).await)
    }

    async fn unsettled_steps(&self, before: Timestamp, limit: u32) -> Result<Vec<OpenStep>> {
        layered!(self, UnsettledSteps, self.maintenance.unsettled_steps(before, limit).await)
    }

    async fn mark_settled(&self, steps: &[(TenantId, StepKey)]) -> Result<()> {
        layered!(self, MarkSettled, self.maintenance.mark_settled(steps).await)
    }

    async fn step(&self, tenant: &TenantId, key: &StepKey) -> Result<Option<OpenStep>> {
        layered!(self, Step, self.maintenance.step(tenant, key).await)
    }

    async fn sweep(&self, now: Timestamp, logs_before: Timestamp, limit: u32) -> Result<Expired> {
        layered!(self, Sweep, self.maintenance.sweep(now, logs_before, limit).await)
    }

    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>> {
        layered!(self, ScanSteps, self.maintenance.scan_steps(after, limit).await)
    }

    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>> {
        layered!(self, ScanConversations, self.maintenance.scan_conversations(after, limit).await)
    }

    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>> {
        layered!(self, ScanFiles, self.maintenance.scan_files(after, limit).await)
    }

    async fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>> {
        layered!(self, ScanTurns, self.maintenance.scan_turns(after, limit).await)
    }

    async fn restore_turns(&self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        layered!(self, RestoreTurns, self.maintenance.restore_turns(turns).await)
    }
}
