//! The ports: who may spend, and what an auditor reads.

use std::fmt;

use async_trait::async_trait;
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};

use crate::{
    Account, AccountSpec, Credit, Entry, Extension, Hold, HoldRequest, LedgerRows, Notice, Refill,
    Result, Settlement,
};

/// A ledger of accounts, holds and entries.
///
/// Accounts live in a tenant; one with an owner is found by that user only. Every write is
/// idempotent by its key: the second call changes nothing and returns what the first returned.
/// May live in another system than the journal; nothing here knows of turns beyond their key.
#[async_trait]
pub trait BalanceAdapter: fmt::Debug + Send + Sync + 'static {
    /// Opens an account with its opening grant, or returns the one that is there, unchanged.
    ///
    /// # Errors
    /// `Conflict` if another user owns an account of this id; `InvalidAmount`.
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account>;

    /// Reads an account as it was left: what has fallen due since is not in it.
    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>>;

    /// Brings an account up to date and reads it: grants that have run out expire, refills that are
    /// due are given, each once under any concurrency. None if it is not there.
    ///
    /// # Errors
    /// `InvalidAmount` if an amount does not fit.
    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>>;

    /// Grants, refunds or adjusts.
    ///
    /// # Errors
    /// `NotFound`; `InvalidAmount` as [`rules::credit`](crate::rules::credit) says; `Conflict` if
    /// the key was used with another amount.
    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry>;

    /// Reserves on all accounts or on none, after what is due on them by then. Concurrent holds
    /// never exceed what is available. A leg whose account is low says so. A refusal for want of
    /// funds writes its notice and nothing else, before it is answered.
    ///
    /// # Errors
    /// `InsufficientFunds` naming the first account that cannot give its floor; `NotFound`;
    /// `InvalidAmount` for no legs, a double account or a floor above its amount.
    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold>;

    /// Reserves more on every leg before another attempt; an extension for the same or an older
    /// attempt changes nothing.
    ///
    /// # Errors
    /// `InsufficientFunds` (nothing written but its notice); `NotFound`; `Conflict` if the hold is resolved.
    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold>;

    /// Posts what the step cost and gives the rest back. What exceeds the hold becomes one
    /// `Overrun` entry per leg, each with its notice, written together. Settling twice returns the first result, whatever the amounts.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if the hold was released; `InvalidAmount`.
    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold>;

    /// Gives everything back. Only for steps that never reached a provider.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if the hold was settled.
    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold>;

    /// Reads a hold.
    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>>;
}

/// What recovery, audit, export and import need, over all scopes.
#[async_trait]
pub trait LedgerMaintenance: fmt::Debug + Send + Sync + 'static {
    /// Up to `limit` open holds taken before `before`, oldest first.
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>>;

    /// All accounts in the order of (tenant, id) after `after`.
    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>>;

    /// All holds in the order of (tenant, key) after `after`.
    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>>;

    /// All entries in the order they were written, `after` many skipped.
    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>>;

    /// Writes rows as they were in another ledger, in the order given, all or none; no rule moves
    /// any money. A row that is there alike is skipped, also twice in one call.
    ///
    /// # Errors
    /// `Conflict` if an account, a hold or an entry of the same key is there and differs; then
    /// nothing was written.
    async fn restore(&self, rows: &LedgerRows) -> Result<()>;

    /// Up to `limit` notices that nobody has delivered, oldest first, then by tenant and key. A
    /// ledger that tells its own listeners has none.
    async fn notices(&self, limit: u32) -> Result<Vec<Notice>>;

    /// Forgets notices that were delivered, by tenant and key; one that is not there is none.
    async fn delivered(&self, notices: &[(TenantId, String)]) -> Result<()>;

    /// Forgets up to `limit` notices from before `before` that nobody has delivered; says how many.
    async fn expire_notices(&self, before: Timestamp, limit: u32) -> Result<u64>;
}

const _: fn(&dyn BalanceAdapter) = |_| {};
const _: fn(&dyn LedgerMaintenance) = |_| {};
