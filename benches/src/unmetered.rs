//! A ledger and a store of usage rows that do nothing, to see what the real ones cost.
//!
//! Every hold is given, nothing is remembered. For measuring only: whoever bills with it bills nobody.

use async_trait::async_trait;
use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceError, BalanceErrorKind,
    Credit, Entry, Extension, Hold, HoldLeg, HoldRequest, HoldState, LedgerMaintenance, LedgerRows,
    Refill, Result, Settlement,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp};
use chat_usage::{UsageQuery, UsageRow, UsageStore};

/// See the module.
#[derive(Debug)]
pub(crate) struct Unmetered;

fn hold_of(scope: &Scope, key: &StepKey, state: HoldState, at: Timestamp) -> Hold {
    Hold {
        scope: scope.clone(),
        key: key.clone(),
        state,
        legs: Vec::new(),
        extended_to: 1,
        opened_at: at,
        closed_at: (state != HoldState::Open).then_some(at),
    }
}

#[async_trait]
impl BalanceAdapter for Unmetered {
    async fn open_account(
        &self,
        _scope: &Scope,
        spec: &AccountSpec,
        _at: Timestamp,
    ) -> Result<Account> {
        Ok(Account::opened(spec))
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        let owner = Some(scope.user.clone());
        let spec = AccountSpec { owner, ..AccountSpec::new(id.clone(), AccountKind::Unlimited) };
        Ok(Some(Account::opened(&spec)))
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        _refill: Option<&Refill>,
        _at: Timestamp,
    ) -> Result<Option<Account>> {
        self.account(scope, id).await
    }

    async fn credit(&self, _scope: &Scope, _credit: &Credit) -> Result<Entry> {
        let detail = "there is no ledger to credit";
        Err(BalanceError::new(BalanceErrorKind::NotFound, "credit", detail))
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        let legs = request.legs.iter().map(|leg| HoldLeg {
            account: leg.account.clone(),
            unit: AccountUnit::Usd,
            amount: leg.amount,
            posted: Money::ZERO,
            lots: Vec::new(),
            warn_below: None,
            low: None,
        });
        let hold = hold_of(scope, &request.key, HoldState::Open, request.at);
        Ok(Hold { legs: legs.collect(), ..hold })
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        Ok(hold_of(scope, key, HoldState::Open, extension.at))
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        Ok(hold_of(scope, &settlement.key, HoldState::Posted, settlement.at))
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        Ok(hold_of(scope, key, HoldState::Released, at))
    }

    async fn hold_of(&self, _scope: &Scope, _key: &StepKey) -> Result<Option<Hold>> {
        Ok(None)
    }
}

#[async_trait]
impl LedgerMaintenance for Unmetered {
    async fn open_holds(&self, _before: Timestamp, _limit: u32) -> Result<Vec<Hold>> {
        Ok(Vec::new())
    }

    async fn scan_accounts(
        &self,
        _after: Option<&(TenantId, AccountId)>,
        _limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        Ok(Vec::new())
    }

    async fn scan_holds(
        &self,
        _after: Option<&(TenantId, StepKey)>,
        _limit: u32,
    ) -> Result<Vec<Hold>> {
        Ok(Vec::new())
    }

    async fn scan_entries(&self, _after: u64, _limit: u32) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }

    async fn restore(&self, _rows: &LedgerRows) -> Result<()> {
        Ok(())
    }

    async fn notices(&self, _limit: u32) -> Result<Vec<chat_balance::Notice>> {
        Ok(Vec::new())
    }

    async fn delivered(&self, _notices: &[(TenantId, String)]) -> Result<()> {
        Ok(())
    }

    async fn expire_notices(&self, _before: Timestamp, _limit: u32) -> Result<u64> {
        Ok(0)
    }
}

#[async_trait]
impl UsageStore for Unmetered {
    async fn record(&self, _scope: &Scope, _rows: &[UsageRow]) -> chat_usage::Result<()> {
        Ok(())
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
