//! The ledger's writes, each one transaction: load, let the rule decide, write what it changed.
//!
//! A transaction reads one snapshot of the database; if anybody changed an account or hold since,
//! the server ends it and it runs again, so a rule never decides on what is not there any more.
//! What is read ahead of the transaction (a hold) is written only if it is still like that, and
//! nothing is refused because of it: a refusal is decided again on a fresh read.

use chat_balance::rules::Appended;
use chat_balance::{
    Account, AccountSpec, BalanceError, BalanceErrorKind, Credit, Entry, EntryKind, Extension,
    Hold, HoldRequest, HoldState, Refill, Result, Settlement, repeat_credit, repeat_hold,
    repeat_open, repeat_release, repeat_settle, rules,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use mongodb::bson::{Document, doc};

use crate::collections::{ACCOUNTS, ENTRIES, HOLDS};
use crate::error::{EngineResult, Failure, FailureKind, Stop};
use crate::lanes::Pass;
use crate::ledger_notices::note;
use crate::ledger_places::Written;
use crate::ledger_rows::{
    account_document, account_id, account_of, account_totals, entry_document, entry_id, entry_of,
    hold_changes, hold_document, hold_id, hold_of,
};
use crate::unit::{Cut, Unit};

type Outcome<T> = crate::error::Outcome<T, BalanceError>;

pub(crate) fn refused<T>(
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: &'static str,
) -> Result<T> {
    Err(BalanceError::new(kind, operation, detail))
}

pub(crate) struct OpenAccount {
    pub(crate) scope: Scope,
    pub(crate) spec: AccountSpec,
    pub(crate) at: Timestamp,
    pub(crate) _pass: Pass,
}

pub(crate) async fn open_account(unit: &mut Unit<'_>, call: &OpenAccount) -> Outcome<Account> {
    let OpenAccount { scope, spec, at, .. } = call;
    if let Some(existing) = account_at(unit, &scope.tenant, &spec.id).await? {
        return Ok(repeat_open(scope, &existing)?);
    }
    let (account, opening) = rules::open(scope, spec, *at)?;
    unit.insert_one(ACCOUNTS, &account_document(&scope.tenant, &account)).await?;
    insert_entries(unit, opening.as_slice()).await?;
    Ok(account)
}

pub(crate) struct RefreshAccount {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) refill: Option<Refill>,
    pub(crate) at: Timestamp,
    pub(crate) _pass: Pass,
}

pub(crate) async fn refresh_account(
    unit: &mut Unit<'_>,
    call: &RefreshAccount,
) -> Outcome<Option<Account>> {
    let RefreshAccount { scope, id, refill, at, .. } = call;
    let account = account_at(unit, &scope.tenant, id).await?;
    let Some(mut account) = account.filter(|found| rules::is_visible(found, scope)) else {
        return Ok(None);
    };
    let entries = rules::refresh(scope, &mut account, refill.as_ref(), *at)?;
    update_accounts(unit, &scope.tenant, std::slice::from_ref(&account)).await?;
    insert_entries(unit, &entries).await?;
    Ok(Some(account))
}

pub(crate) struct GiveCredit {
    pub(crate) scope: Scope,
    pub(crate) credit: Credit,
    pub(crate) _pass: Pass,
}

pub(crate) async fn give_credit(unit: &mut Unit<'_>, call: &GiveCredit) -> Outcome<Entry> {
    let GiveCredit { scope, credit, .. } = call;
    let account = account_at(unit, &scope.tenant, &credit.account).await?;
    let Some(mut account) = account.filter(|found| rules::is_visible(found, scope)) else {
        return Ok(refused(BalanceErrorKind::NotFound, "credit", "no such account")?);
    };
    let kind = credit.kind.entry_kind();
    let reference = rules::credit_reference(&credit.account, &credit.key);
    if let Some(existing) = entry_at(unit, &scope.tenant, kind, &reference).await? {
        return Ok(repeat_credit(&existing, credit)?);
    }
    let credited = rules::credit(scope, &mut account, credit)?;
    update_accounts(unit, &scope.tenant, std::slice::from_ref(&account)).await?;
    insert_entries(unit, &credited.entries()).await?;
    Ok(credited.entry)
}

pub(crate) struct PlaceHold {
    pub(crate) scope: Scope,
    pub(crate) request: HoldRequest,
    pub(crate) _pass: Pass,
}

/// A hold is nearly always new: that it is not shows in its refusal or its unique key.
pub(crate) async fn place_hold(unit: &mut Unit<'_>, call: &PlaceHold) -> Outcome<Hold> {
    let PlaceHold { scope, request, .. } = call;
    if unit.is_repeat()
        && let Some(existing) = hold_at(unit, &scope.tenant, &request.key).await?
    {
        return Ok(repeat_hold(scope, &existing, request)?);
    }
    let mut accounts = accounts_at(unit, &scope.tenant, &rules::accounts_of(request)).await?;
    let (hold, appended) = match rules::place_hold(scope, &mut accounts, request) {
        Ok(placed) => placed,
        Err(refusal) => {
            return Ok(match hold_at(unit, &scope.tenant, &request.key).await? {
                Some(existing) => repeat_hold(scope, &existing, request)?,
                None => return Err(Stop::Refused(refusal)),
            });
        }
    };
    update_accounts(unit, &scope.tenant, &accounts).await?;
    unit.insert_one(HOLDS, &hold_document(&hold)).await?;
    append(unit, &appended).await?;
    Ok(hold)
}

/// What can happen to a hold that is there.
pub(crate) enum HoldMove {
    Extend(Extension),
    Settle(Settlement),
    Release(Timestamp),
}

impl HoldMove {
    pub(crate) const fn operation(&self) -> &'static str {
        match self {
            Self::Extend(_) => "extend",
            Self::Settle(_) => "settle",
            Self::Release(_) => "release",
        }
    }

    /// The answer if it has happened already.
    pub(crate) fn repeat(&self, hold: &Hold) -> Result<Option<Hold>> {
        match self {
            Self::Extend(_) => Ok(None),
            Self::Settle(_) => repeat_settle(hold),
            Self::Release(_) => repeat_release(hold),
        }
    }

    /// What to append; none if there is nothing to change.
    fn apply(&self, hold: &mut Hold, accounts: &mut [Account]) -> Result<Option<Appended>> {
        match self {
            Self::Extend(extension) => rules::extend(hold, accounts, extension),
            Self::Settle(settlement) => rules::settle(hold, accounts, settlement).map(Some),
            Self::Release(at) => rules::release(hold, accounts, *at).map(Some),
        }
    }
}

pub(crate) struct ChangeHold {
    pub(crate) change: HoldMove,
    /// As it was read ahead; its accounts never change.
    pub(crate) hold: Hold,
    pub(crate) _pass: Pass,
}

pub(crate) async fn change_hold(unit: &mut Unit<'_>, call: &ChangeHold) -> Outcome<Hold> {
    let ChangeHold { change, hold: ahead, .. } = call;
    let tenant = &ahead.scope.tenant;
    let mut hold = ahead.clone();
    if unit.is_repeat() {
        hold = hold_at(unit, tenant, &ahead.key)
            .await?
            .ok_or_else(|| Failure::corrupt("a hold is gone"))?;
        if let Some(answer) = change.repeat(&hold)? {
            return Ok(answer);
        }
    }
    let (was, extended_to_was) = (hold.state, hold.extended_to);
    let mut accounts = accounts_at(unit, tenant, &rules::accounts_of_hold(&hold)).await?;
    let appended = match change.apply(&mut hold, &mut accounts) {
        Ok(Some(appended)) => appended,
        Ok(None) => return Ok(hold),
        Err(refusal) if unit.is_repeat() => return Err(Stop::Refused(refusal)),
        Err(_) => return Err(again()),
    };
    update_accounts(unit, tenant, &accounts).await?;
    update_hold(unit, &hold, was, extended_to_was).await?;
    append(unit, &appended).await?;
    Ok(hold)
}

/// Runs the unit again, on a fresh read.
fn again() -> Stop<BalanceError> {
    Failure::new(FailureKind::Contended, "another writer was faster").into()
}

pub(crate) async fn hold_at(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    key: &StepKey,
) -> EngineResult<Option<Hold>> {
    let filter = doc! { "_id": hold_id(tenant, key), "tenant": tenant.as_str() };
    let found = unit.find_one(HOLDS, filter, Cut::default()).await?;
    found.as_ref().map(hold_of).transpose()
}

/// The tenant's account of this id, whoever owns it.
pub(crate) async fn account_at(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    id: &AccountId,
) -> EngineResult<Option<Account>> {
    let accounts = accounts_at(unit, tenant, std::slice::from_ref(id)).await?;
    Ok(accounts.into_iter().next())
}

async fn accounts_at(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    ids: &[AccountId],
) -> EngineResult<Vec<Account>> {
    let ids: Vec<Document> = ids.iter().map(|id| account_id(tenant, id)).collect();
    let filter = doc! { "_id": { "$in": ids }, "tenant": tenant.as_str() };
    let found = unit.find(ACCOUNTS, filter, Cut::default()).await?;
    found.iter().map(|document| Ok(account_of(document)?.1)).collect()
}

async fn entry_at(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    kind: EntryKind,
    reference: &str,
) -> EngineResult<Option<Entry>> {
    let filter = doc! { "_id": entry_id(tenant, kind, reference), "tenant": tenant.as_str() };
    let found = unit.find_one(ENTRIES, filter, Cut::default()).await?;
    found.as_ref().map(entry_of).transpose()
}

async fn update_accounts(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    accounts: &[Account],
) -> Outcome<()> {
    for account in accounts {
        let filter = doc! { "_id": account_id(tenant, &account.id), "tenant": tenant.as_str() };
        let update = doc! { "$set": account_totals(account) };
        if unit.update_one(ACCOUNTS, filter, update).await?.matched_count != 1 {
            return Err(again());
        }
    }
    Ok(())
}

/// Only if it is still as the rule saw it: a hold leaves `open` once.
async fn update_hold(
    unit: &mut Unit<'_>,
    hold: &Hold,
    was: HoldState,
    extended_to_was: u32,
) -> Outcome<()> {
    let filter = doc! {
        "_id": hold_id(&hold.scope.tenant, &hold.key),
        "tenant": hold.scope.tenant.as_str(),
        "state": was.as_str(),
        "extended_to": i64::from(extended_to_was),
    };
    let update = doc! { "$set": hold_changes(hold) };
    if unit.update_one(HOLDS, filter, update).await?.matched_count == 1 {
        Ok(())
    } else {
        Err(again())
    }
}

async fn append(unit: &mut Unit<'_>, appended: &Appended) -> EngineResult<()> {
    insert_entries(unit, &appended.entries).await?;
    note(unit, &appended.notices).await
}

async fn insert_entries(unit: &mut Unit<'_>, entries: &[Entry]) -> EngineResult<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut written = Written::by(unit)?;
    let documents: Vec<Document> =
        entries.iter().map(|entry| entry_document(entry, written.next())).collect();
    unit.insert_many(ENTRIES, &documents).await
}
