//! The ledger's ports: the pure rules of `chat_balance` decide, this file carries their rows.
//!
//! Each write is one query that loads the hold and its accounts, one rule, and one program that
//! writes what changed, all in the writer's transaction. Entries are append-only by trigger.

use async_trait::async_trait;
use chat_balance::rules::Appended;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, BalanceErrorKind, Credit, Entry, Extension, Hold,
    HoldRequest, LedgerMaintenance, LedgerRows, Notice, Refill, Result, Settlement, repeat_credit,
    repeat_hold, repeat_open, repeat_release, repeat_settle, rules,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use sqlx::SqliteConnection;

use crate::SqliteStore;
use crate::error::EngineResult;
use crate::ledger_notices::{ExpireNotices, ForgetDelivered, ReadNotices, refuse};
use crate::ledger_restore::RestoreLedger;
use crate::ledger_rows::{Change, account_at, entry_at, hold_with_accounts, refused, save};
use crate::ledger_scans::{OpenHolds, ReadHold, ScanAccounts, ScanEntries, ScanHolds};
use crate::readers::Read;
use crate::session::Session;
use crate::writer::Write;

#[async_trait]
impl BalanceAdapter for SqliteStore {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        let write = OpenAccount { scope: scope.clone(), spec: spec.clone(), at };
        self.write(write).await.map_err(|failure| failure.balance("open account"))?
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
        let write =
            RefreshAccount { scope: scope.clone(), id: id.clone(), refill: refill.cloned(), at };
        self.write(write).await.map_err(|failure| failure.balance("refresh account"))?
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        let write = GiveCredit { scope: scope.clone(), credit: credit.clone() };
        self.write(write).await.map_err(|failure| failure.balance("credit"))?
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        let write = PlaceHold { scope: scope.clone(), request: request.clone() };
        self.write(write).await.map_err(|failure| failure.balance("hold"))?
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        let extension = extension.clone();
        let write = ExtendHold { scope: scope.clone(), key: key.clone(), extension };
        self.write(write).await.map_err(|failure| failure.balance("extend"))?
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        let write = SettleHold { scope: scope.clone(), settlement: settlement.clone() };
        self.write(write).await.map_err(|failure| failure.balance("settle"))?
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        let write = ReleaseHold { scope: scope.clone(), key: key.clone(), at };
        self.write(write).await.map_err(|failure| failure.balance("release"))?
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        let read = ReadHold { scope: scope.clone(), key: key.clone() };
        self.read(read).await.map_err(|failure| failure.balance("read hold"))
    }
}

#[async_trait]
impl LedgerMaintenance for SqliteStore {
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
        let read = ScanEntries { after, limit };
        self.read(read).await.map_err(|failure| failure.balance("scan entries"))
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        let write = RestoreLedger { rows: rows.clone() };
        self.write(write).await.map_err(|failure| failure.balance("restore ledger"))?
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

struct ReadAccount {
    scope: Scope,
    id: AccountId,
}

#[async_trait]
impl Read for ReadAccount {
    type Output = Option<Account>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let account = account_at(connection, &self.scope.tenant, &self.id).await?;
        Ok(account.filter(|account| rules::is_visible(account, &self.scope)))
    }
}

struct OpenAccount {
    scope: Scope,
    spec: AccountSpec,
    at: Timestamp,
}

#[async_trait]
impl Write for OpenAccount {
    type Output = Result<Account>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        if let Some(existing) = account_at(connection, &self.scope.tenant, &self.spec.id).await? {
            return Ok(repeat_open(&self.scope, &existing));
        }
        let (account, opening) = match rules::open(&self.scope, &self.spec, self.at) {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let entries: Vec<Entry> = opening.into_iter().collect();
        let accounts = std::slice::from_ref(&account);
        let change = Change { accounts, hold: None, entries: &entries, notices: &[] };
        save(session, &self.scope.tenant, &change).await?;
        Ok(Ok(account))
    }
}

struct RefreshAccount {
    scope: Scope,
    id: AccountId,
    refill: Option<Refill>,
    at: Timestamp,
}

#[async_trait]
impl Write for RefreshAccount {
    type Output = Result<Option<Account>>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let tenant = &self.scope.tenant;
        let account = account_at(connection, tenant, &self.id).await?;
        let Some(mut account) = account.filter(|found| rules::is_visible(found, &self.scope))
        else {
            return Ok(Ok(None));
        };
        let refill = self.refill.as_ref();
        let entries = match rules::refresh(&self.scope, &mut account, refill, self.at) {
            Ok(entries) => entries,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let accounts = std::slice::from_ref(&account);
        save(session, tenant, &Change { accounts, hold: None, entries: &entries, notices: &[] })
            .await?;
        Ok(Ok(Some(account)))
    }
}

struct GiveCredit {
    scope: Scope,
    credit: Credit,
}

#[async_trait]
impl Write for GiveCredit {
    type Output = Result<Entry>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let Credit { account: id, kind, key, .. } = &self.credit;
        let tenant = &self.scope.tenant;
        let account = account_at(connection, tenant, id).await?;
        let Some(mut account) = account.filter(|found| rules::is_visible(found, &self.scope))
        else {
            return Ok(refused(BalanceErrorKind::NotFound, "credit", "no such account"));
        };
        let reference = rules::credit_reference(id, key);
        let existing = entry_at(connection, tenant, kind.entry_kind(), &reference).await?;
        if let Some(existing) = existing {
            return Ok(repeat_credit(&existing, &self.credit));
        }
        let credited = match rules::credit(&self.scope, &mut account, &self.credit) {
            Ok(credited) => credited,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (accounts, entries) = (std::slice::from_ref(&account), credited.entries());
        save(session, tenant, &Change { accounts, hold: None, entries: &entries, notices: &[] })
            .await?;
        Ok(Ok(credited.entry))
    }
}

struct PlaceHold {
    scope: Scope,
    request: HoldRequest,
}

#[async_trait]
impl Write for PlaceHold {
    type Output = Result<Hold>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let wanted = rules::accounts_of(&self.request);
        let tenant = &self.scope.tenant;
        let (existing, mut accounts) =
            hold_with_accounts(session, tenant, &self.request.key, &wanted).await?;
        if let Some(existing) = existing {
            return Ok(repeat_hold(&self.scope, &existing, &self.request));
        }
        let placed = rules::place_hold(&self.scope, &mut accounts, &self.request);
        let (hold, appended) = match placed {
            Ok(placed) => placed,
            Err(refusal) => {
                let from = (&self.scope, &self.request.key, self.request.at);
                return refuse(session, from, refusal).await;
            }
        };
        save_hold(session, &hold, &accounts, &appended).await?;
        Ok(Ok(hold))
    }
}

struct ExtendHold {
    scope: Scope,
    key: StepKey,
    extension: Extension,
}

#[async_trait]
impl Write for ExtendHold {
    type Output = Result<Hold>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let (mut hold, mut accounts) =
            match existing(session, "extend", &self.scope, &self.key).await? {
                Ok(found) => found,
                Err(refusal) => return Ok(Err(refusal)),
            };
        match rules::extend(&mut hold, &mut accounts, &self.extension) {
            Ok(Some(appended)) => save_hold(session, &hold, &accounts, &appended).await?,
            Ok(None) => {}
            Err(refusal) => {
                let from = (&self.scope, &self.key, self.extension.at);
                return refuse(session, from, refusal).await;
            }
        }
        Ok(Ok(hold))
    }
}

struct SettleHold {
    scope: Scope,
    settlement: Settlement,
}

#[async_trait]
impl Write for SettleHold {
    type Output = Result<Hold>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let key = &self.settlement.key;
        let (mut hold, mut accounts) = match existing(session, "settle", &self.scope, key).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(first) = repeat_settle(&hold).transpose() {
            return Ok(first);
        }
        let appended = match rules::settle(&mut hold, &mut accounts, &self.settlement) {
            Ok(appended) => appended,
            Err(refusal) => return Ok(Err(refusal)),
        };
        save_hold(session, &hold, &accounts, &appended).await?;
        Ok(Ok(hold))
    }
}

struct ReleaseHold {
    scope: Scope,
    key: StepKey,
    at: Timestamp,
}

#[async_trait]
impl Write for ReleaseHold {
    type Output = Result<Hold>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let (mut hold, mut accounts) =
            match existing(session, "release", &self.scope, &self.key).await? {
                Ok(found) => found,
                Err(refusal) => return Ok(Err(refusal)),
            };
        if let Some(first) = repeat_release(&hold).transpose() {
            return Ok(first);
        }
        let appended = match rules::release(&mut hold, &mut accounts, self.at) {
            Ok(appended) => appended,
            Err(refusal) => return Ok(Err(refusal)),
        };
        save_hold(session, &hold, &accounts, &appended).await?;
        Ok(Ok(hold))
    }
}

/// The scope's hold with its accounts, or `NotFound`.
async fn existing(
    session: &mut Session<'_>,
    operation: &'static str,
    scope: &Scope,
    key: &StepKey,
) -> EngineResult<Result<(Hold, Vec<Account>)>> {
    let (hold, accounts) = hold_with_accounts(session, &scope.tenant, key, &[]).await?;
    Ok(match hold.filter(|hold| hold.scope == *scope) {
        Some(hold) => Ok((hold, accounts)),
        None => refused(BalanceErrorKind::NotFound, operation, "no hold for this step"),
    })
}

async fn save_hold(
    session: &mut Session<'_>,
    hold: &Hold,
    accounts: &[Account],
    appended: &Appended,
) -> EngineResult<()> {
    let Appended { entries, notices } = appended;
    let change = Change { accounts, hold: Some(hold), entries, notices };
    save(session, &hold.scope.tenant, &change).await
}
