//! `MemoryLedger`: the reference behaviour of the ports, for tests and programs without a disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};

use crate::rules::{
    Appended, accounts_of, accounts_of_hold, credit, credit_reference, extend, is_visible, open,
    place_hold, refresh, refuse, release, settle,
};
use crate::{
    Account, AccountSpec, BalanceAdapter, BalanceErrorKind, Credit, Entry, EntryKind, Extension,
    Hold, HoldRequest, HoldState, LedgerMaintenance, LedgerRows, Notice, Refill, Result,
    Settlement, repeat_credit, repeat_hold, repeat_open, repeat_release, repeat_restore,
    repeat_settle,
};

/// A ledger in memory; clones share it. Every call is one step under one lock.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    state: Arc<Mutex<State>>,
}

/// What makes an entry unique.
type EntryKey = (TenantId, EntryKind, String);

fn entry_key(entry: &Entry) -> EntryKey {
    (entry.scope.tenant.clone(), entry.kind, entry.reference.clone())
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<(TenantId, AccountId), Account>,
    holds: BTreeMap<(TenantId, StepKey), Hold>,
    entries: Vec<Entry>,
    /// Where in `entries` each one is, by what makes it unique.
    places: BTreeMap<EntryKey, usize>,
    /// What nobody has delivered yet.
    notices: BTreeMap<(TenantId, String), Notice>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // The rules change nothing before they succeed and the writes after them cannot panic, so
        // a poisoned state is still whole.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn account(&self, scope: &Scope, id: &AccountId) -> Option<&Account> {
        let account = self.accounts.get(&(scope.tenant.clone(), id.clone()))?;
        is_visible(account, scope).then_some(account)
    }

    fn load(&self, scope: &Scope, ids: &[AccountId]) -> Vec<Account> {
        ids.iter().filter_map(|id| self.account(scope, id)).cloned().collect()
    }

    fn store(&mut self, scope: &Scope, accounts: Vec<Account>, entries: Vec<Entry>) {
        for account in accounts {
            self.accounts.insert((scope.tenant.clone(), account.id.clone()), account);
        }
        entries.into_iter().for_each(|entry| self.append(entry));
    }

    fn hold(&self, operation: &'static str, scope: &Scope, key: &StepKey) -> Result<Hold> {
        let hold = self.holds.get(&(scope.tenant.clone(), key.clone()));
        hold.filter(|hold| hold.scope == *scope)
            .cloned()
            .ok_or_else(|| refuse(BalanceErrorKind::NotFound, operation, "no hold for this step"))
    }

    fn store_hold(&mut self, hold: &Hold, accounts: Vec<Account>, appended: Appended) -> Hold {
        self.store(&hold.scope, accounts, appended.entries);
        appended.notices.into_iter().for_each(|notice| self.note(notice));
        self.holds.insert((hold.scope.tenant.clone(), hold.key.clone()), hold.clone());
        hold.clone()
    }

    fn note(&mut self, notice: Notice) {
        let key = (notice.scope.tenant.clone(), notice.key.clone());
        self.notices.entry(key).or_insert(notice);
    }

    /// A refusal leaves its notice.
    fn noticed<T>(
        &mut self,
        (scope, step, at): (&Scope, &StepKey, Timestamp),
        result: Result<T>,
    ) -> Result<T> {
        if let Err(error) = &result
            && let Some(notice) = Notice::of_refusal(scope, step, error, at)
        {
            self.note(notice);
        }
        result
    }

    fn append(&mut self, entry: Entry) {
        self.places.insert(entry_key(&entry), self.entries.len());
        self.entries.push(entry);
    }

    fn entry(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.get(*self.places.get(key)?)
    }

    /// Everything is checked on copies of the keys before anything is written.
    fn restore(&mut self, rows: &LedgerRows) -> Result<()> {
        let mut accounts = BTreeMap::new();
        for (tenant, account) in &rows.accounts {
            let key = (tenant.clone(), account.id.clone());
            if !repeat_restore(self.accounts.get(&key).or(accounts.get(&key)), account)? {
                accounts.insert(key, account.clone());
            }
        }
        let mut holds = BTreeMap::new();
        for hold in &rows.holds {
            let key = (hold.scope.tenant.clone(), hold.key.clone());
            if !repeat_restore(self.holds.get(&key).or(holds.get(&key)), hold)? {
                holds.insert(key, hold.clone());
            }
        }
        let mut new: BTreeMap<EntryKey, &Entry> = BTreeMap::new();
        let mut entries = Vec::new();
        for entry in &rows.entries {
            let key = entry_key(entry);
            let existing = self.entry(&key).or(new.get(&key).copied());
            if !repeat_restore(existing, entry)? {
                new.insert(key, entry);
                entries.push(entry.clone());
            }
        }
        self.accounts.extend(accounts);
        self.holds.extend(holds);
        entries.into_iter().for_each(|entry| self.append(entry));
        Ok(())
    }
}

#[async_trait]
impl BalanceAdapter for MemoryLedger {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        self.with(|state| {
            let key = (scope.tenant.clone(), spec.id.clone());
            if let Some(existing) = state.accounts.get(&key) {
                return repeat_open(scope, existing);
            }
            let (account, opening) = open(scope, spec, at)?;
            state.accounts.insert(key, account.clone());
            if let Some(entry) = opening {
                state.append(entry);
            }
            Ok(account)
        })
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        Ok(self.with(|state| state.account(scope, id).cloned()))
    }

    async fn credit(&self, scope: &Scope, wanted: &Credit) -> Result<Entry> {
        self.with(|state| {
            let mut account = state
                .account(scope, &wanted.account)
                .cloned()
                .ok_or_else(|| refuse(BalanceErrorKind::NotFound, "credit", "no such account"))?;
            let reference = credit_reference(&wanted.account, &wanted.key);
            let key = (scope.tenant.clone(), wanted.kind.entry_kind(), reference);
            if let Some(existing) = state.entry(&key) {
                return repeat_credit(existing, wanted);
            }
            let credited = credit(scope, &mut account, wanted)?;
            state.store(scope, vec![account], credited.entries());
            Ok(credited.entry)
        })
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>> {
        self.with(|state| {
            let Some(mut account) = state.account(scope, id).cloned() else {
                return Ok(None);
            };
            let entries = refresh(scope, &mut account, refill, at)?;
            state.store(scope, vec![account.clone()], entries);
            Ok(Some(account))
        })
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        self.with(|state| {
            let key = (scope.tenant.clone(), request.key.clone());
            if let Some(existing) = state.holds.get(&key) {
                return repeat_hold(scope, existing, request);
            }
            let mut accounts = state.load(scope, &accounts_of(request));
            let placed = place_hold(scope, &mut accounts, request);
            let from = (scope, &request.key, request.at);
            let (hold, appended) = state.noticed(from, placed)?;
            Ok(state.store_hold(&hold, accounts, appended))
        })
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        self.with(|state| {
            let mut hold = state.hold("extend", scope, key)?;
            let mut accounts = state.load(scope, &accounts_of_hold(&hold));
            let extended = extend(&mut hold, &mut accounts, extension);
            if let Some(appended) = state.noticed((scope, key, extension.at), extended)? {
                state.store_hold(&hold, accounts, appended);
            }
            Ok(hold)
        })
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        self.with(|state| {
            let mut hold = state.hold("settle", scope, &settlement.key)?;
            if let Some(first) = repeat_settle(&hold)? {
                return Ok(first);
            }
            let mut accounts = state.load(scope, &accounts_of_hold(&hold));
            let appended = settle(&mut hold, &mut accounts, settlement)?;
            Ok(state.store_hold(&hold, accounts, appended))
        })
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        self.with(|state| {
            let mut hold = state.hold("release", scope, key)?;
            if let Some(first) = repeat_release(&hold)? {
                return Ok(first);
            }
            let mut accounts = state.load(scope, &accounts_of_hold(&hold));
            let appended = release(&mut hold, &mut accounts, at)?;
            Ok(state.store_hold(&hold, accounts, appended))
        })
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        Ok(self.with(|state| state.hold("read hold", scope, key).ok()))
    }
}

#[async_trait]
impl LedgerMaintenance for MemoryLedger {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        Ok(self.with(|state| {
            let mut holds: Vec<&Hold> = state
                .holds
                .values()
                .filter(|hold| hold.state == HoldState::Open && hold.opened_at < before)
                .collect();
            holds.sort_by_key(|hold| hold.opened_at);
            holds.into_iter().take(page(limit)).cloned().collect()
        }))
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|state| {
            let rows = state.accounts.range((from, Bound::Unbounded)).take(page(limit));
            rows.map(|((tenant, _), account)| (tenant.clone(), account.clone())).collect()
        }))
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|state| {
            let rows = state.holds.range((from, Bound::Unbounded)).take(page(limit));
            rows.map(|(_, hold)| hold.clone()).collect()
        }))
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(self.with(|state| state.entries.iter().skip(skip).take(page(limit)).cloned().collect()))
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        self.with(|state| state.restore(rows))
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        Ok(self.with(|state| {
            // Already by tenant and key, and the sort is stable.
            let mut notices: Vec<&Notice> = state.notices.values().collect();
            notices.sort_by_key(|notice| notice.at);
            notices.into_iter().take(page(limit)).cloned().collect()
        }))
    }

    async fn delivered(&self, notices: &[(TenantId, String)]) -> Result<()> {
        self.with(|state| notices.iter().for_each(|key| drop(state.notices.remove(key))));
        Ok(())
    }

    async fn expire_notices(&self, before: Timestamp, limit: u32) -> Result<u64> {
        Ok(self.with(|state| {
            let due = state.notices.iter().filter(|(_, notice)| notice.at < before);
            let due: Vec<_> = due.map(|(key, _)| key.clone()).take(page(limit)).collect();
            due.iter().for_each(|key| drop(state.notices.remove(key)));
            u64::try_from(due.len()).unwrap_or(u64::MAX)
        }))
    }
}

fn page(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
