//! The ledger's ports: the pure rules of `chat_balance` decide, this store carries their rows.
//!
//! A write is two round trips, of which the second commits: look, and write if all is still so.
//! Settling, releasing and extending look before they queue for their accounts, which only the hold
//! names. Entries are append-only by trigger. Not here: the statements, scans, restoring.

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, Credit, Entry, Extension, Hold, HoldRequest,
    LedgerMaintenance, LedgerRows, Notice, Refill, Result, Settlement, rules,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};

use crate::PostgresStore;
use crate::ledger_notices::{ExpireNotices, ForgetDelivered, ReadNotices};
use crate::ledger_restore::Restore;
use crate::ledger_save::{Look, Rows, look_at_account, look_at_hold};
use crate::ledger_scans::{OpenHolds, ScanAccounts, ScanEntries, ScanHolds};
use crate::ledger_writes::{
    GiveCredit, HoldMove, Move, MoveHold, Moving, OpenAccount, PlaceHold, RefreshAccount,
};
use crate::refusal::page_rows;
use crate::runner::Read;

impl PostgresStore {
    async fn make<M: Move>(&self, operation: &'static str, moving: Moving<M>) -> Result<M::Answer> {
        self.billing().map_err(|failure| failure.balance(operation))?;
        self.write(moving).await.map_err(|failure| failure.balance(operation))?
    }

    async fn move_hold(&self, scope: &Scope, key: &StepKey, by: HoldMove) -> Result<Hold> {
        let operation = by.operation();
        let lanes = &self.books().lanes;
        let before = lanes.now();
        let look = LookAtHold { scope: scope.clone(), key: key.clone() };
        let rows = self.read(look).await.map_err(|failure| failure.balance(operation))?;
        let accounts = rows.hold.as_ref().map(rules::accounts_of_hold).unwrap_or_default();
        let pass = lanes.enter(&scope.tenant, &accounts).await;
        let ahead = pass.is_free_since(before).then_some(rows);
        let by = MoveHold { scope: scope.clone(), key: key.clone(), by, ahead };
        self.make(operation, Moving { by, _pass: pass }).await
    }
}

#[async_trait]
impl BalanceAdapter for PostgresStore {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        const OPERATION: &str = "open account";
        self.billing().map_err(|failure| failure.balance(OPERATION))?;
        let accounts = std::slice::from_ref(&spec.id);
        let pass = self.books().lanes.enter(&scope.tenant, accounts).await;
        let write = OpenAccount { scope: scope.clone(), spec: spec.clone(), at, _pass: pass };
        self.write(write).await.map_err(|failure| failure.balance(OPERATION))?
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        let read = ReadAccount { scope: scope.clone(), id: id.clone() };
        self.read(read).await.map_err(|failure| failure.balance("read account"))
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>> {
        let pass = self.books().lanes.enter(&scope.tenant, std::slice::from_ref(id)).await;
        let (scope, id) = (scope.clone(), id.clone());
        let by = RefreshAccount { scope, id, refill: refill.cloned(), at };
        self.make("refresh account", Moving { by, _pass: pass }).await
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        let accounts = std::slice::from_ref(&credit.account);
        let pass = self.books().lanes.enter(&scope.tenant, accounts).await;
        let by = GiveCredit { scope: scope.clone(), credit: credit.clone() };
        self.make("credit", Moving { by, _pass: pass }).await
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        let wanted = rules::accounts_of(request);
        let pass = self.books().lanes.enter(&scope.tenant, &wanted).await;
        let by = PlaceHold { scope: scope.clone(), request: request.clone(), wanted };
        self.make("hold", Moving { by, _pass: pass }).await
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        self.move_hold(scope, key, HoldMove::Extend(extension.clone())).await
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        self.move_hold(scope, &settlement.key, HoldMove::Settle(settlement.clone())).await
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        self.move_hold(scope, key, HoldMove::Release(at)).await
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        let read = LookAtHold { scope: scope.clone(), key: key.clone() };
        let rows = self.read(read).await.map_err(|failure| failure.balance("read hold"))?;
        Ok(rows.hold.filter(|hold| hold.scope == *scope))
    }
}

#[async_trait]
impl LedgerMaintenance for PostgresStore {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        let read = OpenHolds { before, limit };
        self.read(read).await.map_err(|failure| failure.balance("find open holds"))
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        let read = ScanAccounts { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.balance("scan accounts"))
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        let read = ScanHolds { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.balance("scan holds"))
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        let places = &self.books().entries;
        let read = ScanEntries { from: places.nearest(after), after, limit: page_rows(limit) };
        let page = self.read(read).await.map_err(|failure| failure.balance("scan entries"))?;
        Ok(page.remembered_in(places, after))
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        const OPERATION: &str = "restore ledger";
        self.billing().map_err(|failure| failure.balance(OPERATION))?;
        let write = Restore { rows: rows.clone() };
        self.write(write).await.map_err(|failure| failure.balance(OPERATION))?
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        let read = ReadNotices { limit };
        self.read(read).await.map_err(|failure| failure.balance("read notices"))
    }

    async fn delivered(&self, notices: &[(TenantId, String)]) -> Result<()> {
        if notices.is_empty() {
            return Ok(());
        }
        let write = ForgetDelivered { notices: notices.to_vec() };
        self.write(write).await.map_err(|failure| failure.balance("forget delivered notices"))
    }

    async fn expire_notices(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let write = ExpireNotices { before, limit };
        self.write(write).await.map_err(|failure| failure.balance("expire notices"))
    }
}

/// One hold with its accounts.
struct LookAtHold {
    scope: Scope,
    key: StepKey,
}

#[async_trait]
impl Read for LookAtHold {
    type Output = Rows;

    async fn fetch(&self, connection: &mut sqlx::PgConnection) -> crate::error::EngineResult<Rows> {
        look_at_hold(connection, Look::Free, &self.scope.tenant, &self.key, &[]).await
    }
}

struct ReadAccount {
    scope: Scope,
    id: AccountId,
}

#[async_trait]
impl Read for ReadAccount {
    type Output = Option<Account>;

    async fn fetch(
        &self,
        connection: &mut sqlx::PgConnection,
    ) -> crate::error::EngineResult<Self::Output> {
        let look = Look::Free;
        let rows = look_at_account(connection, look, &self.scope.tenant, &self.id, None).await?;
        let mut found = rows.accounts.into_iter();
        Ok(found.next().filter(|account| rules::is_visible(account, &self.scope)))
    }
}
