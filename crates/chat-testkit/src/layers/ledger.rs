//! `Layered` as a ledger.

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, Credit, Entry, Hold, HoldRequest, LedgerMaintenance,
    LedgerRows, Result, Settlement,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp};

use super::{After, Layered, PortCall, layered};

#[async_trait]
impl BalanceAdapter for Layered {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        layered!(self, OpenAccount, self.ports.ledger.open_account(scope, spec, at).await)
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        layered!(self, Account, self.ports.ledger.account(scope, id).await)
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        layered!(self, Credit, self.ports.ledger.credit(scope, credit).await)
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        layered!(self, Hold, self.ports.ledger.hold(scope, request).await)
    }

    async fn extend(
        &self,
        scope: &Scope,
        key: &StepKey,
        attempt: u32,
        extra: Money,
        at: Timestamp,
    ) -> Result<Hold> {
        let ledger = &self.ports.ledger;
        layered!(self, Extend, ledger.extend(scope, key, attempt, extra, at).await)
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        layered!(self, Settle, self.ports.ledger.settle(scope, settlement).await)
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        layered!(self, Release, self.ports.ledger.release(scope, key, at).await)
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        layered!(self, HoldOf, self.ports.ledger.hold_of(scope, key).await)
    }
}

#[async_trait]
impl LedgerMaintenance for Layered {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        layered!(self, OpenHolds, self.ports.ledger.open_holds(before, limit).await)
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        layered!(self, ScanAccounts, self.ports.ledger.scan_accounts(after, limit).await)
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        layered!(self, ScanHolds, self.ports.ledger.scan_holds(after, limit).await)
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        layered!(self, ScanEntries, self.ports.ledger.scan_entries(after, limit).await)
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        layered!(self, RestoreLedger, self.ports.ledger.restore(rows).await)
    }
}
