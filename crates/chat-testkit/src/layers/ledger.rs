//! `Layered` as a ledger.

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, Credit, Entry, Extension, Hold, HoldRequest,
    LedgerMaintenance, LedgerRows, Notice, Refill, Result, Settlement,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};

use super::{After, Layered, PortCall, layered};

#[async_trait]
impl BalanceAdapter for Layered {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        layered!(self, OpenAccount, self.ledger.open_account(scope, spec, at).await)
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        layered!(self, Account, self.ledger.account(scope, id).await)
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>> {
        layered!(self, Refresh, self.ledger.refresh(scope, id, refill, at).await)
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        layered!(self, Credit, self.ledger.credit(scope, credit).await)
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        layered!(self, Hold, self.ledger.hold(scope, request).await)
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        layered!(self, Extend, self.ledger.extend(scope, key, extension).await)
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        layered!(self, Settle, self.ledger.settle(scope, settlement).await)
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        layered!(self, Release, self.ledger.release(scope, key, at).await)
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        layered!(self, HoldOf, self.ledger.hold_of(scope, key).await)
    }
}

#[async_trait]
impl LedgerMaintenance for Layered {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        layered!(self, OpenHolds, self.ledger_maintenance.open_holds(before, limit).await)
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        layered!(self, ScanAccounts, self.ledger_maintenance.scan_accounts(after, limit).await)
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        layered!(self, ScanHolds, self.ledger_maintenance.scan_holds(after, limit).await)
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        layered!(self, ScanEntries, self.ledger_maintenance.scan_entries(after, limit).await)
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        layered!(self, RestoreLedger, self.ledger_maintenance.restore(rows).await)
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        layered!(self, Notices, self.ledger_maintenance.notices(limit).await)
    }

    async fn delivered(&self, notices: &[(TenantId, String)]) -> Result<()> {
        layered!(self, Delivered, self.ledger_maintenance.delivered(notices).await)
    }

    async fn expire_notices(&self, before: Timestamp, limit: u32) -> Result<u64> {
        layered!(self, ExpireNotices, self.ledger_maintenance.expire_notices(before, limit).await)
    }
}
