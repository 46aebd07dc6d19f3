//! The ledger and the usage rows of a store that cannot bill: nothing is there, nothing is taken.
//!
//! Recovery, audit and export find empty books; a hold is refused, so that no turn gets as far as
//! a provider.

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, BalanceError, BalanceErrorKind, Credit, Entry, Extension,
    Hold, HoldRequest, LedgerMaintenance, LedgerRows, Notice, Refill, Settlement,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use chat_usage::{UsageError, UsageQuery, UsageRow, UsageStore};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoBilling;

const DETAIL: &str = "this store keeps no ledger and no usage rows: it cannot bill";

fn refused<T>(operation: &'static str) -> chat_balance::Result<T> {
    Err(BalanceError::new(BalanceErrorKind::NotFound, operation, DETAIL))
}

#[async_trait]
impl BalanceAdapter for NoBilling {
    async fn open_account(
        &self,
        _scope: &Scope,
        _spec: &AccountSpec,
        _at: Timestamp,
    ) -> chat_balance::Result<Account> {
        refused("open account")
    }

    async fn account(
        &self,
        _scope: &Scope,
        _id: &AccountId,
    ) -> chat_balance::Result<Option<Account>> {
        Ok(None)
    }

    async fn refresh(
        &self,
        _scope: &Scope,
        _id: &AccountId,
        _refill: Option<&Refill>,
        _at: Timestamp,
    ) -> chat_balance::Result<Option<Account>> {
        Ok(None)
    }

    async fn credit(&self, _scope: &Scope, _credit: &Credit) -> chat_balance::Result<Entry> {
        refused("credit")
    }

    async fn hold(&self, _scope: &Scope, _request: &HoldRequest) -> chat_balance::Result<Hold> {
        refused("hold")
    }

    async fn extend(
        &self,
        _scope: &Scope,
        _key: &StepKey,
        _extension: &Extension,
    ) -> chat_balance::Result<Hold> {
        refused("extend")
    }

    async fn settle(&self, _scope: &Scope, _settlement: &Settlement) -> chat_balance::Result<Hold> {
        refused("settle")
    }

    async fn release(
        &self,
        _scope: &Scope,
        _key: &StepKey,
        _at: Timestamp,
    ) -> chat_balance::Result<Hold> {
        refused("release")
    }

    async fn hold_of(&self, _scope: &Scope, _key: &StepKey) -> chat_balance::Result<Option<Hold>> {
        Ok(None)
    }
}

#[async_trait]
impl LedgerMaintenance for NoBilling {
    async fn open_holds(&self, _before: Timestamp, _limit: u32) -> chat_balance::Result<Vec<Hold>> {
        Ok(Vec::new())
    }

    async fn scan_accounts(
        &self,
        _after: Option<&(TenantId, AccountId)>,
        _limit: u32,
    ) -> chat_balance::Result<Vec<(TenantId, Account)>> {
        Ok(Vec::new())
    }

    async fn scan_holds(
        &self,
        _after: Option<&(TenantId, StepKey)>,
        _limit: u32,
    ) -> chat_balance::Result<Vec<Hold>> {
        Ok(Vec::new())
    }

    async fn scan_entries(&self, _after: u64, _limit: u32) -> chat_balance::Result<Vec<Entry>> {
        Ok(Vec::new())
    }

    async fn restore(&self, _rows: &LedgerRows) -> chat_balance::Result<()> {
        refused("restore")
    }

    async fn notices(&self, _limit: u32) -> chat_balance::Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    async fn delivered(&self, _notices: &[(TenantId, String)]) -> chat_balance::Result<()> {
        Ok(())
    }

    async fn expire_notices(&self, _before: Timestamp, _limit: u32) -> chat_balance::Result<u64> {
        Ok(0)
    }
}

#[async_trait]
impl UsageStore for NoBilling {
    async fn record(&self, _scope: &Scope, _rows: &[UsageRow]) -> chat_usage::Result<()> {
        Err(UsageError::Store { detail: DETAIL.to_owned(), transient: false, source: None })
    }

    async fn rows(&self, _scope: &Scope, _query: &UsageQuery) -> chat_usage::Result<Vec<UsageRow>> {
        Ok(Vec::new())
    }

    async fn scan_rows(
        &self,
        _after: u64,
        _limit: u32,
    ) -> chat_usage::Result<Vec<(Scope, UsageRow)>> {
        Ok(Vec::new())
    }
}
