//! The persistence port: each method runs one unit, whose function lives in its theme's file.

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
use mongodb::bson::oid::ObjectId;

use crate::messages::Earlier;
use crate::{
    MongoStore, branch, close, conversations, deletion, events, files, import, journal,
    message_pages, messages, steps, turns,
};

#[async_trait]
impl PersistenceAdapter for MongoStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { multi_process: true, durable: true }
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
    ) -> Result<Option<Conversation>> {
        let input = (scope.clone(), id.clone());
        self.read("read conversation", input, |unit, (scope, id)| {
            Box::pin(conversations::read(unit, scope, id))
        })
        .await
    }

    async fn conversations(
        &self,
        scope: &Scope,
        query: &ConversationQuery,
    ) -> Result<ConversationPage> {
        let input = (scope.clone(), query.clone());
        self.read("list conversations", input, |unit, (scope, query)| {
            Box::pin(conversations::list(unit, scope, query))
        })
        .await
    }

    async fn patch_conversation(
        &self,
        scope: &Scope,
        id: &ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Conversation> {
        let input = (scope.clone(), id.clone(), patch.clone(), now);
        self.write("patch conversation", input, |unit, (scope, id, patch, now)| {
            Box::pin(conversations::patch(unit, scope, id, patch, *now))
        })
        .await
    }

    async fn delete_conversation(&self, scope: &Scope, id: &ConversationId) -> Result<bool> {
        let input = (scope.clone(), id.clone());
        self.write("delete conversation", input, |unit, (scope, id)| {
            Box::pin(deletion::delete_conversation(unit, scope, id))
        })
        .await
    }

    async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>> {
        let input = (scope.clone(), conversation.clone(), id.clone());
        self.read("read message", input, |unit, (scope, conversation, id)| {
            Box::pin(messages::read(unit, scope, conversation, id))
        })
        .await
    }

    async fn branch(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: &MessageId,
        limit: usize,
    ) -> Result<BranchPage> {
        let input = (scope.clone(), conversation.clone(), head.clone(), limit);
        self.read("read branch", input, |unit, (scope, conversation, head, limit)| {
            Box::pin(branch::branch(unit, scope, conversation, head, *limit))
        })
        .await
    }

    async fn messages(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<MessagePage> {
        let input = (scope.clone(), conversation.clone(), after.cloned(), limit);
        self.read("read messages", input, |unit, (scope, conversation, after, limit)| {
            Box::pin(message_pages::page(unit, scope, conversation, after.as_ref(), *limit))
        })
        .await
    }

    async fn import(
        &self,
        scope: &Scope,
        conversation: &Conversation,
        messages: &[Message],
    ) -> Result<()> {
        let input = (scope.clone(), conversation.clone(), messages.to_vec());
        self.write("import conversation", input, |unit, (scope, conversation, messages)| {
            Box::pin(import::import(unit, scope, conversation, messages))
        })
        .await
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
        let input = (scope.clone(), conversation.clone(), counts.to_vec());
        self.write("keep token counts", input, |unit, (scope, conversation, counts)| {
            Box::pin(messages::keep_token_counts(unit, scope, conversation, counts))
        })
        .await
    }

    async fn keep_summary(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        summary: &Summary,
    ) -> Result<()> {
        let input = (scope.clone(), conversation.clone(), summary.clone());
        self.write("keep summary", input, |unit, (scope, conversation, summary)| {
            let message = &summary.covers_to;
            let earlier = Earlier::Goes;
            Box::pin(messages::keep_summary(unit, scope, conversation, message, summary, earlier))
        })
        .await
    }

    async fn delete_subtree(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        message: &MessageId,
    ) -> Result<u64> {
        let input = (scope.clone(), conversation.clone(), message.clone());
        self.write("delete subtree", input, |unit, (scope, conversation, message)| {
            Box::pin(deletion::delete_subtree(unit, scope, conversation, message))
        })
        .await
    }

    async fn keep_files(&self, scope: &Scope, files: &[FileRecord]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let input = (scope.clone(), files.to_vec());
        self.write("keep files", input, |unit, (scope, files)| {
            Box::pin(files::keep(unit, scope, files))
        })
        .await
    }

    async fn files(&self, scope: &Scope, ids: &[FileId]) -> Result<Vec<FileRecord>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let input = (scope.clone(), ids.to_vec());
        self.read("read files", input, |unit, (scope, ids)| Box::pin(files::read(unit, scope, ids)))
            .await
    }

    async fn accept(&self, scope: &Scope, accept: &Accept) -> Result<Accepted> {
        let _lane = self.enter_conversation(scope, &accept.turn.conversation).await;
        let input = (scope.clone(), accept.clone(), ObjectId::new());
        self.write("accept turn", input, |unit, (scope, accept, call)| {
            Box::pin(journal::accept(unit, scope, accept, *call))
        })
        .await
    }

    async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>> {
        let input = (scope.clone(), turn.clone());
        self.read("read turn", input, |unit, (scope, turn)| {
            Box::pin(turns::turn(unit, scope, turn))
        })
        .await
    }

    async fn open_step(&self, fence: &Fence, step: &NewStep) -> Result<()> {
        let input = (fence.clone(), step.clone());
        self.write_singly("open step", input, |unit, (fence, step)| {
            Box::pin(steps::open_step(unit, fence, step))
        })
        .await
    }

    async fn dispatch(&self, fence: &Fence, attempt: &AttemptKey) -> Result<()> {
        let input = (fence.clone(), attempt.clone());
        self.write_singly("dispatch", input, |unit, (fence, attempt)| {
            Box::pin(steps::dispatch(unit, fence, attempt))
        })
        .await
    }

    async fn checkpoint(&self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool> {
        let input = (fence.clone(), checkpoint.clone());
        self.write_singly("checkpoint", input, |unit, (fence, checkpoint)| {
            Box::pin(steps::checkpoint(unit, fence, checkpoint))
        })
        .await
    }

    async fn close_step(&self, fence: &Fence, close: &StepClose) -> Result<()> {
        let input = (fence.clone(), close.clone());
        self.write_singly("close step", input, |unit, (fence, close)| {
            Box::pin(steps::close_step(unit, fence, close))
        })
        .await
    }

    async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()> {
        let _lane = match &close.message {
            Some(message) => self.enter_conversation(&fence.scope, &message.conversation).await,
            None => None,
        };
        let input = (fence.clone(), close.clone(), ObjectId::new());
        self.write("close turn", input, |unit, (fence, close, call)| {
            Box::pin(close::close_turn(unit, fence, close, *call))
        })
        .await
    }

    async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage> {
        let input = (scope.clone(), turn.clone(), after_seq, limit);
        self.read("read events", input, |unit, (scope, turn, after_seq, limit)| {
            Box::pin(events::events(unit, scope, turn, *after_seq, *limit))
        })
        .await
    }

    async fn request_stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        let input = (scope.clone(), turn.clone());
        self.write_singly("request stop", input, |unit, (scope, turn)| {
            Box::pin(events::request_stop(unit, scope, turn))
        })
        .await
    }
}
