//! The port of recovery and operator commands: the only reads and writes without a scope.
//!
//! Each method runs one unit, whose function lives in its theme's file. Not here: the conversations
//! and files that scans read (`conversations`, `files` say what their documents are).

mod leases;
mod restore;
mod scans;
mod settling;
mod sweep;

use async_trait::async_trait;
use chat_persist::{Expired, Fence, LapsedTurn, Maintenance, OpenStep, Result, TurnRecord};
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, TenantId, Timestamp,
    TurnId,
};
use mongodb::bson::oid::ObjectId;

use crate::MongoStore;
use crate::index::Index;
use crate::{conversations, files};

pub(crate) fn indexes() -> Vec<Index> {
    [leases::indexes(), settling::indexes(), sweep::indexes()].concat()
}

#[async_trait]
impl Maintenance for MongoStore {
    async fn heartbeat(&self, owner: &OwnerId, lease_until: Timestamp) -> Result<()> {
        let input = (owner.clone(), lease_until);
        self.write_singly("heartbeat", input, |unit, (owner, lease_until)| {
            Box::pin(leases::heartbeat(unit, owner, *lease_until))
        })
        .await
    }

    async fn retire(&self, owner: &OwnerId) -> Result<()> {
        self.write_singly("retire", owner.clone(), |unit, owner| {
            Box::pin(leases::retire(unit, owner))
        })
        .await
    }

    async fn stop_flags(&self, owner: &OwnerId) -> Result<Vec<TurnId>> {
        self.read("read stop flags", owner.clone(), |unit, owner| {
            Box::pin(leases::stop_flags(unit, owner))
        })
        .await
    }

    async fn lapsed_turns(&self, now: Timestamp, limit: u32) -> Result<Vec<LapsedTurn>> {
        let input = (now, limit, self.has_transactions());
        self.write_singly("find lapsed turns", input, |unit, (now, limit, has_transactions)| {
            Box::pin(leases::lapsed_turns(unit, *now, *limit, *has_transactions))
        })
        .await
    }

    async fn take_over(&self, lapsed: &LapsedTurn, owner: &OwnerId) -> Result<Option<Fence>> {
        let input = (lapsed.clone(), owner.clone(), ObjectId::new());
        self.write_singly("take over", input, |unit, (lapsed, owner, call)| {
            Box::pin(leases::take_over(unit, lapsed, owner, *call))
        })
        .await
    }

    async fn unsettled_steps(&self, before: Timestamp, limit: u32) -> Result<Vec<OpenStep>> {
        self.read("find unsettled steps", (before, limit), |unit, (before, limit)| {
            Box::pin(settling::unsettled_steps(unit, *before, *limit))
        })
        .await
    }

    async fn mark_settled(&self, steps: &[(TenantId, StepKey)]) -> Result<()> {
        self.write_singly("mark settled", steps.to_vec(), |unit, steps| {
            Box::pin(settling::mark_settled(unit, steps))
        })
        .await
    }

    async fn step(&self, tenant: &TenantId, key: &StepKey) -> Result<Option<OpenStep>> {
        let input = (tenant.clone(), key.clone());
        self.read("read step", input, |unit, (tenant, key)| {
            Box::pin(settling::step(unit, tenant, key))
        })
        .await
    }

    async fn sweep(&self, now: Timestamp, logs_before: Timestamp, limit: u32) -> Result<Expired> {
        self.sweep_all(now, logs_before, limit).await
    }

    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>> {
        self.read("scan conversations", (after.cloned(), limit), |unit, (after, limit)| {
            Box::pin(conversations::scan(unit, after.as_ref(), *limit))
        })
        .await
    }

    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>> {
        self.read("scan files", (after.cloned(), limit), |unit, (after, limit)| {
            Box::pin(files::scan(unit, after.as_ref(), *limit))
        })
        .await
    }

    async fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>> {
        self.read("scan turns", (after.cloned(), limit), |unit, (after, limit)| {
            Box::pin(scans::scan_turns(unit, after.as_ref(), *limit))
        })
        .await
    }

    async fn restore_turns(&self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        self.write("restore turns", turns.to_vec(), |unit, turns| {
            Box::pin(restore::restore_turns(unit, turns))
        })
        .await
    }

    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>> {
        self.read("scan steps", (after.cloned(), limit), |unit, (after, limit)| {
            Box::pin(scans::scan_steps(unit, after.as_ref(), *limit))
        })
        .await
    }
}
