//! The port of recovery and operator commands: the only reads and writes without a scope.
//!
//! Given to the conductor's recovery, `audit`, `export` and retention, and to nobody else.

use std::fmt;

use async_trait::async_trait;
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, TenantId, Timestamp,
    TurnId,
};

use crate::{Expired, Fence, LapsedTurn, OpenStep, Result, TurnRecord};

/// Leases, takeovers, unfinished business and scans over all scopes.
#[async_trait]
pub trait Maintenance: fmt::Debug + Send + Sync + 'static {
    /// Says that `owner` lives until `lease_until`. Repeated by one task per process.
    async fn heartbeat(&self, owner: &OwnerId, lease_until: Timestamp) -> Result<()>;

    /// Ends a lease at once: the owner has stopped and has no running turns.
    async fn retire(&self, owner: &OwnerId) -> Result<()>;

    /// The running turns of `owner` that somebody asked to stop.
    async fn stop_flags(&self, owner: &OwnerId) -> Result<Vec<TurnId>>;

    /// Up to `limit` running turns whose owner has no lease beyond `now`.
    async fn lapsed_turns(&self, now: Timestamp, limit: u32) -> Result<Vec<LapsedTurn>>;

    /// Raises the epoch of a lapsed turn and makes `owner` its owner, unless somebody was faster,
    /// the turn has ended, or its owner has a lease beyond [`LapsedTurn::at`] by now: then none.
    ///
    /// Lease and epoch are judged as one: whoever opens a step under a lease that is durable by
    /// then is either seen alive here, or finds the epoch raised.
    async fn take_over(&self, lapsed: &LapsedTurn, owner: &OwnerId) -> Result<Option<Fence>>;

    /// Up to `limit` steps in state `settling` since before `before`: the ledger may not have them.
    async fn unsettled_steps(&self, before: Timestamp, limit: u32) -> Result<Vec<OpenStep>>;

    /// Marks steps as settled; those not in state `settling` are left alone.
    async fn mark_settled(&self, steps: &[(TenantId, StepKey)]) -> Result<()>;

    /// Reads one step by the key of its hold; none if the journal never had it.
    async fn step(&self, tenant: &TenantId, key: &StepKey) -> Result<Option<OpenStep>>;

    /// Deletes conversations whose time is over and event logs of turns that ended before
    /// `logs_before`, at most `limit` of each.
    async fn sweep(&self, now: Timestamp, logs_before: Timestamp, limit: u32) -> Result<Expired>;

    /// All conversations in the order of (tenant, user, id) after `after`, by the bytes of the ids,
    /// at most `limit` of them. One that is written meanwhile may be missed, none comes twice.
    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>>;

    /// All files in the order of (tenant, user, id) after `after`, like `scan_conversations`.
    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>>;

    /// All turns with their steps, running ones too, in the order of (tenant, id) after `after`.
    async fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>>;

    /// Writes ended turns as they were in another store, all or none. Their event logs count as
    /// expired; a step in state `settling` is found by `unsettled_steps` as if it had been since
    /// the turn's end. A turn that is there alike ([`TurnRecord::is_same_end`]) is skipped, also
    /// twice in one call.
    ///
    /// # Errors
    /// `IllegalState` for a turn that has not ended; `NotFound` if its scope has no such
    /// conversation; `Conflict` if the id or the idempotency key stands for another turn, or its
    /// steps do not fit ([`TurnRecord::check_ended`]). Then nothing was written.
    async fn restore_turns(&self, turns: &[(Scope, TurnRecord)]) -> Result<()>;

    /// All steps in the order of their keys after `after`: what an audit compares the ledger with.
    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>>;
}

const _DYN_SAFE: fn(&dyn Maintenance) = |_| {};
