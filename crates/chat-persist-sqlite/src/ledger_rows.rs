//! Rows of the ledger: accounts, holds with their legs, entries.

use std::borrow::Cow;

use chat_balance::{
    Account, AccountKind, AccountUnit, BalanceError, BalanceErrorKind, Entry, EntryKind, Hold,
    HoldState, Notice, Result, Side,
};
use chat_types::{AccountId, Scope, StepKey, TenantId};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::ledger_notices::{notice_record, notices_program};
use crate::row::{Columns, decode, encode};
use crate::session::{Session, fused};

/// One account as the writing program takes it.
#[derive(Debug, Serialize)]
pub(crate) struct AccountRecord<'a> {
    id: &'a str,
    owner: Option<&'a str>,
    kind: &'static str,
    unit: &'static str,
    granted: i64,
    refunded: i64,
    held: i64,
    posted: i64,
    expired: i64,
    state: String,
}

/// One entry as the writing program takes it.
#[derive(Debug, Serialize)]
pub(crate) struct EntryRecord<'a> {
    user: &'a str,
    debit: Cow<'a, str>,
    credit: Cow<'a, str>,
    amount: i64,
    kind: &'static str,
    reference: &'a str,
    at: i64,
}

pub(crate) fn refused<T>(
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: &'static str,
) -> Result<T> {
    Err(BalanceError::new(kind, operation, detail))
}

/// The columns `account_of_row` reads, of table `a`.
macro_rules! account_columns {
    () => {
        "a.id, a.owner, a.kind, a.unit, a.granted, a.refunded, a.held, a.posted, a.expired, a.state"
    };
}
pub(crate) use account_columns;

pub(crate) fn account_of_row(columns: &mut Columns<'_>) -> EngineResult<Account> {
    Ok(Account {
        id: columns.parsed()?,
        owner: columns.optional_parsed()?,
        kind: columns.named(AccountKind::from_stored)?,
        unit: columns.named(AccountUnit::from_stored)?,
        granted: columns.money()?,
        refunded: columns.money()?,
        held: columns.money()?,
        posted: columns.money()?,
        expired: columns.money()?,
        state: decode(columns.text()?)?,
    })
}

/// The columns `hold_of_row` reads, of table `h`.
macro_rules! hold_columns {
    () => {
        "h.tenant, h.user, h.turn, h.step, h.state, h.legs, h.extended_to, h.opened_at, h.closed_at"
    };
}
pub(crate) use hold_columns;

pub(crate) fn hold_of_row(columns: &mut Columns<'_>) -> EngineResult<Hold> {
    Ok(Hold {
        scope: Scope::new(columns.parsed()?, columns.parsed()?),
        key: StepKey { turn: columns.parsed()?, step: columns.small()? },
        state: columns.named(HoldState::from_stored)?,
        legs: decode(columns.text()?)?,
        extended_to: columns.small()?,
        opened_at: columns.time()?,
        closed_at: columns.optional_time()?,
    })
}

/// The columns `entry_of_row` reads, of table `e`.
macro_rules! entry_columns {
    () => {
        "e.tenant, e.user, e.debit, e.credit, e.amount, e.kind, e.reference, e.at"
    };
}
pub(crate) use entry_columns;

pub(crate) fn entry_of_row(columns: &mut Columns<'_>) -> EngineResult<Entry> {
    Ok(Entry {
        scope: Scope::new(columns.parsed()?, columns.parsed()?),
        debit: columns.named(Side::from_stored)?,
        credit: columns.named(Side::from_stored)?,
        amount: columns.money()?,
        kind: columns.named(EntryKind::from_stored)?,
        reference: columns.text()?.to_owned(),
        at: columns.time()?,
    })
}

/// The tenant's account of this id, whoever owns it.
pub(crate) async fn account_at(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: &AccountId,
) -> EngineResult<Option<Account>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts a WHERE a.tenant = $1 AND a.id = $2"
    ))
    .bind(tenant.as_str())
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(|row| account_of_row(&mut Columns::of(row))).transpose()
}

/// The tenant's hold of this key, whichever user's it is.
pub(crate) async fn hold_at(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    key: &StepKey,
) -> EngineResult<Option<Hold>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        hold_columns!(),
        " FROM holds h WHERE h.tenant = $1 AND h.turn = $2 AND h.step = $3"
    ))
    .bind(tenant.as_str())
    .bind(key.turn.as_str())
    .bind(i64::from(key.step))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(|row| hold_of_row(&mut Columns::of(row))).transpose()
}

/// The entry with this reference.
pub(crate) async fn entry_at(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    kind: EntryKind,
    reference: &str,
) -> EngineResult<Option<Entry>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        entry_columns!(),
        " FROM entries e WHERE e.tenant = $1 AND e.kind = $2 AND e.reference = $3"
    ))
    .bind(tenant.as_str())
    .bind(kind.as_str())
    .bind(reference)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(|row| entry_of_row(&mut Columns::of(row))).transpose()
}

/// The tenant's hold of this key with its accounts; without one, the `wanted` accounts.
pub(crate) async fn hold_with_accounts(
    session: &mut Session<'_>,
    tenant: &TenantId,
    key: &StepKey,
    wanted: &[AccountId],
) -> EngineResult<(Option<Hold>, Vec<Account>)> {
    let wanted: Vec<&str> = wanted.iter().map(AccountId::as_str).collect();
    // The first column tells the two kinds of rows apart.
    let query = sqlx::query(session.first(&fused!(
        "SELECT 'hold', ",
        hold_columns!(),
        " FROM holds h WHERE h.tenant = $1 AND h.turn = $2 AND h.step = $3;
         SELECT 'account', ",
        account_columns!(),
        " FROM json_each(coalesce((SELECT legs FROM holds
                WHERE tenant = $1 AND turn = $2 AND step = $3), $4)) leg
          CROSS JOIN accounts a ON a.tenant = $1
           AND a.id = CASE leg.type WHEN 'text' THEN leg.value ELSE leg.value ->> 'account' END"
    )))
    .bind(tenant.as_str())
    .bind(key.turn.as_str())
    .bind(i64::from(key.step))
    .bind(encode(&wanted)?);
    let rows = session.load(query).await?;
    let mut hold = None;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of(row);
        if columns.text()? == "hold" {
            hold = Some(hold_of_row(&mut columns)?);
        } else {
            accounts.push(account_of_row(&mut columns)?);
        }
    }
    Ok((hold, accounts))
}

/// What a rule has changed.
pub(crate) struct Change<'a> {
    pub(crate) accounts: &'a [Account],
    pub(crate) hold: Option<&'a Hold>,
    pub(crate) entries: &'a [Entry],
    /// Only with a hold.
    pub(crate) notices: &'a [Notice],
}

macro_rules! accounts_program {
    () => {
        "INSERT INTO accounts (tenant, id, owner, kind, unit, granted, refunded, held, posted,
                expired, state)
            SELECT $1, value ->> 'id', value ->> 'owner', value ->> 'kind', value ->> 'unit',
                   value ->> 'granted', value ->> 'refunded', value ->> 'held', value ->> 'posted',
                   value ->> 'expired', value ->> 'state'
              FROM json_each($2) WHERE true
            ON CONFLICT DO UPDATE SET granted = excluded.granted, refunded = excluded.refunded,
                held = excluded.held, posted = excluded.posted, expired = excluded.expired,
                state = excluded.state;"
    };
}

macro_rules! entries_program {
    () => {
        "INSERT INTO entries (tenant, user, debit, credit, amount, kind, reference, at)
            SELECT $1, value ->> 'user', value ->> 'debit', value ->> 'credit',
                   value ->> 'amount', value ->> 'kind', value ->> 'reference', value ->> 'at'
              FROM json_each($3) ORDER BY key;"
    };
}

macro_rules! hold_program {
    () => {
        "INSERT INTO holds (tenant, turn, step, user, state, legs, extended_to, opened_at,
                closed_at)
            VALUES ($1, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT DO UPDATE SET state = $7, legs = $8, extended_to = $9, closed_at = $11;"
    };
}

/// Writes what a rule has changed, in one program.
pub(crate) async fn save(
    session: &mut Session<'_>,
    tenant: &TenantId,
    change: &Change<'_>,
) -> EngineResult<()> {
    let accounts = change.accounts.iter().map(account_record).collect::<EngineResult<Vec<_>>>()?;
    let entries: Vec<EntryRecord<'_>> = change.entries.iter().map(entry_record).collect();
    let notices = change.notices.iter().map(notice_record).collect::<EngineResult<Vec<_>>>()?;
    let program = match (change.hold, entries.is_empty(), notices.is_empty()) {
        (None, true, _) => fused!(accounts_program!()),
        (None, false, _) => fused!(accounts_program!(), entries_program!()),
        (Some(_), true, true) => fused!(accounts_program!(), hold_program!()),
        (Some(_), false, true) => {
            fused!(accounts_program!(), entries_program!(), hold_program!())
        }
        (Some(_), _, false) => fused!(
            accounts_program!(),
            entries_program!(),
            hold_program!(),
            notices_program!("$12")
        ),
    };
    let query = sqlx::query(session.last(&program))
        .bind(tenant.as_str())
        .bind(encode(&accounts)?)
        .bind(encode(&entries)?);
    let query = match change.hold {
        Some(hold) => query
            .bind(hold.key.turn.as_str()) // 4
            .bind(i64::from(hold.key.step))
            .bind(hold.scope.user.as_str())
            .bind(hold.state.as_str())
            .bind(encode(&hold.legs)?) // 8
            .bind(i64::from(hold.extended_to))
            .bind(hold.opened_at.unix_ms())
            .bind(hold.closed_at.map(chat_types::Timestamp::unix_ms))
            .bind(encode(&notices)?), // 12
        None => query,
    };
    session.save(query).await
}

pub(crate) fn account_record(account: &Account) -> EngineResult<AccountRecord<'_>> {
    Ok(AccountRecord {
        id: account.id.as_str(),
        owner: account.owner.as_ref().map(|owner| owner.as_str()),
        kind: account.kind.as_str(),
        unit: account.unit.as_str(),
        granted: account.granted.nano_usd(),
        refunded: account.refunded.nano_usd(),
        held: account.held.nano_usd(),
        posted: account.posted.nano_usd(),
        expired: account.expired.nano_usd(),
        state: encode(&account.state)?,
    })
}

pub(crate) fn entry_record(entry: &Entry) -> EntryRecord<'_> {
    EntryRecord {
        user: entry.scope.user.as_str(),
        debit: entry.debit.stored_name(),
        credit: entry.credit.stored_name(),
        amount: entry.amount.nano_usd(),
        kind: entry.kind.as_str(),
        reference: entry.reference.as_str(),
        at: entry.at.unix_ms(),
    }
}
