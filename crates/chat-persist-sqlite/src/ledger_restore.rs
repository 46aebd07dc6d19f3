//! Rows of another ledger, written as they were.
//!
//! Everything is compared before anything is written; no rule moves any money.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_balance::{Account, Entry, EntryKind, Hold, LedgerRows, Result, repeat_restore};
use chat_types::{AccountId, StepKey, TenantId, Timestamp};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::ledger_rows::{
    AccountRecord, EntryRecord, account_at, account_record, entry_at, entry_record, hold_at,
};
use crate::row::encode;
use crate::session::Session;
use crate::writer::Write;

/// Rows per statement: one JSON list of them.
const ROWS_PER_STATEMENT: usize = 500;

/// Writes rows, or nothing.
pub(crate) struct RestoreLedger {
    pub(crate) rows: LedgerRows,
}

/// The rows that are not there yet, in the order given.
#[derive(Default)]
struct New<'a> {
    accounts: Vec<(&'a TenantId, &'a Account)>,
    holds: Vec<&'a Hold>,
    entries: Vec<&'a Entry>,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    tenant: &'a str,
    row: AccountRecord<'a>,
}

#[derive(Serialize)]
struct NewHold<'a> {
    tenant: &'a str,
    turn: &'a str,
    step: u32,
    user: &'a str,
    state: &'static str,
    legs: String,
    extended_to: u32,
    opened_at: i64,
    closed_at: Option<i64>,
}

#[derive(Serialize)]
struct NewEntry<'a> {
    tenant: &'a str,
    row: EntryRecord<'a>,
}

#[async_trait]
impl Write for RestoreLedger {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let new = match self.check(connection).await? {
            Ok(new) => new,
            Err(refusal) => return Ok(Err(refusal)),
        };
        write_accounts(connection, &new.accounts).await?;
        write_holds(connection, &new.holds).await?;
        write_entries(connection, &new.entries).await?;
        Ok(Ok(()))
    }
}

impl RestoreLedger {
    async fn check(&self, connection: &mut SqliteConnection) -> EngineResult<Result<New<'_>>> {
        let mut new = New::default();
        let mut accounts: BTreeMap<(&TenantId, &AccountId), &Account> = BTreeMap::new();
        for (tenant, account) in &self.rows.accounts {
            let stored = account_at(connection, tenant, &account.id).await?;
            let there = stored.as_ref().or(accounts.get(&(tenant, &account.id)).copied());
            match repeat_restore(there, account) {
                Ok(true) => {}
                Ok(false) => {
                    accounts.insert((tenant, &account.id), account);
                    new.accounts.push((tenant, account));
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let mut holds: BTreeMap<(&TenantId, &StepKey), &Hold> = BTreeMap::new();
        for hold in &self.rows.holds {
            let tenant = &hold.scope.tenant;
            let stored = hold_at(connection, tenant, &hold.key).await?;
            let there = stored.as_ref().or(holds.get(&(tenant, &hold.key)).copied());
            match repeat_restore(there, hold) {
                Ok(true) => {}
                Ok(false) => {
                    holds.insert((tenant, &hold.key), hold);
                    new.holds.push(hold);
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let mut entries: BTreeMap<(&TenantId, EntryKind, &str), &Entry> = BTreeMap::new();
        for entry in &self.rows.entries {
            let key = (&entry.scope.tenant, entry.kind, entry.reference.as_str());
            let stored = entry_at(connection, key.0, key.1, key.2).await?;
            let there = stored.as_ref().or(entries.get(&key).copied());
            match repeat_restore(there, entry) {
                Ok(true) => {}
                Ok(false) => {
                    entries.insert(key, entry);
                    new.entries.push(entry);
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(new))
    }
}

async fn write_accounts(
    connection: &mut SqliteConnection,
    accounts: &[(&TenantId, &Account)],
) -> EngineResult<()> {
    for accounts in accounts.chunks(ROWS_PER_STATEMENT) {
        let rows = accounts
            .iter()
            .map(|(tenant, account)| {
                Ok(NewAccount { tenant: tenant.as_str(), row: account_record(account)? })
            })
            .collect::<EngineResult<Vec<_>>>()?;
        sqlx::query(
            "INSERT INTO accounts (tenant, id, owner, kind, unit, granted, refunded, held, posted,
                    expired, state)
             SELECT value ->> 'tenant', value ->> '$.row.id', value ->> '$.row.owner',
                    value ->> '$.row.kind', value ->> '$.row.unit', value ->> '$.row.granted',
                    value ->> '$.row.refunded', value ->> '$.row.held', value ->> '$.row.posted',
                    value ->> '$.row.expired', value ->> '$.row.state'
               FROM json_each($1)",
        )
        .bind(encode(&rows)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn write_holds(connection: &mut SqliteConnection, holds: &[&Hold]) -> EngineResult<()> {
    for holds in holds.chunks(ROWS_PER_STATEMENT) {
        let rows = holds
            .iter()
            .map(|hold| {
                Ok(NewHold {
                    tenant: hold.scope.tenant.as_str(),
                    turn: hold.key.turn.as_str(),
                    step: hold.key.step,
                    user: hold.scope.user.as_str(),
                    state: hold.state.as_str(),
                    legs: encode(&hold.legs)?,
                    extended_to: hold.extended_to,
                    opened_at: hold.opened_at.unix_ms(),
                    closed_at: hold.closed_at.map(Timestamp::unix_ms),
                })
            })
            .collect::<EngineResult<Vec<_>>>()?;
        sqlx::query(
            "INSERT INTO holds (tenant, turn, step, user, state, legs, extended_to, opened_at,
                    closed_at)
             SELECT value ->> 'tenant', value ->> 'turn', value ->> 'step', value ->> 'user',
                    value ->> 'state', value ->> 'legs', value ->> 'extended_to',
                    value ->> 'opened_at', value ->> 'closed_at'
               FROM json_each($1)",
        )
        .bind(encode(&rows)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn write_entries(connection: &mut SqliteConnection, entries: &[&Entry]) -> EngineResult<()> {
    for entries in entries.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<NewEntry<'_>> = entries
            .iter()
            .map(|entry| NewEntry { tenant: entry.scope.tenant.as_str(), row: entry_record(entry) })
            .collect();
        sqlx::query(
            "INSERT INTO entries (tenant, user, debit, credit, amount, kind, reference, at)
             SELECT value ->> 'tenant', value ->> '$.row.user', value ->> '$.row.debit',
                    value ->> '$.row.credit', value ->> '$.row.amount', value ->> '$.row.kind',
                    value ->> '$.row.reference', value ->> '$.row.at'
               FROM json_each($1) ORDER BY key",
        )
        .bind(encode(&rows)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
