//! Ledgers that keep the conductor waiting.

use std::sync::Arc;

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, Credit, Entry, Extension, Hold, HoldRequest,
    LedgerMaintenance, MemoryLedger, Refill, Settlement,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use tokio::sync::Semaphore;

/// Where a ledger keeps its callers waiting.
#[derive(Debug)]
pub(crate) enum Stuck {
    /// Settlements are made only once this is closed.
    Settlements(Arc<Semaphore>),
    /// Holds are taken only once this is closed.
    Holds(Arc<Semaphore>),
    /// Holds are taken, and answered only once this is closed.
    HoldAnswers(Arc<Semaphore>),
}

/// A ledger that gets stuck at one call.
#[derive(Debug)]
pub(crate) struct StuckLedger(pub(crate) MemoryLedger, pub(crate) Stuck);

#[async_trait]
impl BalanceAdapter for StuckLedger {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> chat_balance::Result<Account> {
        self.0.open_account(scope, spec, at).await
    }

    async fn account(
        &self,
        scope: &Scope,
        id: &AccountId,
    ) -> chat_balance::Result<Option<Account>> {
        self.0.account(scope, id).await
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> chat_balance::Result<Option<Account>> {
        self.0.refresh(scope, id, refill, at).await
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> chat_balance::Result<Entry> {
        self.0.credit(scope, credit).await
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> chat_balance::Result<Hold> {
        if let Stuck::Holds(go_on) = &self.1 {
            drop(go_on.acquire().await);
        }
        let held = self.0.hold(scope, request).await;
        if let (Stuck::HoldAnswers(go_on), Ok(_)) = (&self.1, &held) {
            drop(go_on.acquire().await);
        }
        held
    }

    async fn extend(
        &self,
        scope: &Scope,
        key: &StepKey,
        extension: &Extension,
    ) -> chat_balance::Result<Hold> {
        self.0.extend(scope, key, extension).await
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> chat_balance::Result<Hold> {
        if let Stuck::Settlements(go_on) = &self.1 {
            drop(go_on.acquire().await);
        }
        self.0.settle(scope, settlement).await
    }

    async fn release(
        &self,
        scope: &Scope,
        key: &StepKey,
        at: Timestamp,
    ) -> chat_balance::Result<Hold> {
        self.0.release(scope, key, at).await
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> chat_balance::Result<Option<Hold>> {
        self.0.hold_of(scope, key).await
    }
}

#[async_trait]
impl LedgerMaintenance for StuckLedger {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> chat_balance::Result<Vec<Hold>> {
        self.0.open_holds(before, limit).await
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> chat_balance::Result<Vec<(TenantId, Account)>> {
        self.0.scan_accounts(after, limit).await
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> chat_balance::Result<Vec<Hold>> {
        self.0.scan_holds(after, limit).await
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> chat_balance::Result<Vec<Entry>> {
        self.0.scan_entries(after, limit).await
    }

    async fn restore(&self, rows: &chat_balance::LedgerRows) -> chat_balance::Result<()> {
        self.0.restore(rows).await
    }

    async fn notices(&self, limit: u32) -> chat_balance::Result<Vec<chat_balance::Notice>> {
        self.0.notices(limit).await
    }

    async fn delivered(&self, notices: &[(TenantId, String)]) -> chat_balance::Result<()> {
        self.0.delivered(notices).await
    }

    async fn expire_notices(&self, before: Timestamp, limit: u32) -> chat_balance::Result<u64> {
        self.0.expire_notices(before, limit).await
    }
}
