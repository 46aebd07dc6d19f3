//! The port of recovery and operator commands: the only reads and writes without a scope.
//!
//! Given to the conductor's recovery, `audit`, `export` and retention, and to nobody else.

use std::fmt;

use async_trait::async_trait;
use chat_types::{OwnerId, StepKey, TenantId, Timestamp, TurnId};

use crate::{Expired, Fence, LapsedTurn, OpenStep, Result};

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

    /// Raises the epoch of a lapsed turn and makes `owner` its owner, unless somebody was faster
    /// or the turn has ended: then none.
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

    /// All steps in the order of their keys after `after`: what an audit compares the ledger with.
    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>>;
}

const _DYN_SAFE: fn(&dyn Maintenance) = |_| {};
