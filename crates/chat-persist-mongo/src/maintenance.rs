//! The port of recovery and operator commands.

use async_trait::async_trait;
use chat_persist::{
    Expired, Fence, LapsedTurn, Maintenance, OpenStep, PersistError, PersistErrorKind, Result,
    TurnRecord,
};
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, TenantId, Timestamp,
    TurnId,
};

use crate::indexes::Index;
use crate::{MongoStore, conversations, files};

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

fn not_yet<T>() -> Result<T> {
    Err(PersistError::new(PersistErrorKind::Unsupported, "call", "this is not written yet"))
}

#[async_trait]
impl Maintenance for MongoStore {
    async fn heartbeat(&self, _: &OwnerId, _: Timestamp) -> Result<()> {
        not_yet()
    }

    async fn retire(&self, _: &OwnerId) -> Result<()> {
        not_yet()
    }

    async fn stop_flags(&self, _: &OwnerId) -> Result<Vec<TurnId>> {
        not_yet()
    }

    async fn lapsed_turns(&self, _: Timestamp, _: u32) -> Result<Vec<LapsedTurn>> {
        not_yet()
    }

    async fn take_over(&self, _: &LapsedTurn, _: &OwnerId) -> Result<Option<Fence>> {
        not_yet()
    }

    async fn unsettled_steps(&self, _: Timestamp, _: u32) -> Result<Vec<OpenStep>> {
        not_yet()
    }

    async fn mark_settled(&self, _: &[(TenantId, StepKey)]) -> Result<()> {
        not_yet()
    }

    async fn step(&self, _: &TenantId, _: &StepKey) -> Result<Option<OpenStep>> {
        not_yet()
    }

    async fn sweep(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<Expired> {
        not_yet()
    }

    async fn scan_steps(
        &self,
        _: Option<&(TenantId, StepKey)>,
        _: u32,
    ) -> Result<Vec<OpenStep>> {
        not_yet()
    }

    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>> {
        let input = (after.cloned(), limit);
        self.read("scan conversations", input, |unit, (after, limit)| {
            Box::pin(conversations::scan(unit, after.as_ref(), *limit))
        })
        .await
    }

    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>> {
        let input = (after.cloned(), limit);
        self.read("scan files", input, |unit, (after, limit)| {
            Box::pin(files::scan(unit, after.as_ref(), *limit))
        })
        .await
    }

    async fn scan_turns(
        &self,
        _: Option<&(TenantId, TurnId)>,
        _: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>> {
        not_yet()
    }

    async fn restore_turns(&self, _: &[(Scope, TurnRecord)]) -> Result<()> {
        not_yet()
    }
}
