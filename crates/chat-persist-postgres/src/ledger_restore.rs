//! Restoring the rows of another ledger: all or none, in the order given.
//!
//! Each list is written where nothing is in its way and read back; what was read must be what was
//! to be written.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_balance::{Account, Entry, EntryKind, Hold, LedgerRows, Result, repeat_restore};
use chat_types::{StepKey, TenantId, Timestamp};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::escape::escape;
use crate::ledger_rows::{
    account_columns, account_of_row, entry_columns, entry_of_row, hold_columns, hold_of_row,
};
use crate::ledger_save::bind_entries;
use crate::row::{Columns, encode, parse};
use crate::runner::Write;
use crate::session::Session;

/// Rows of one statement: fewer than stand between two numbers of `written_together`, far more than
/// what a round trip costs.
pub(crate) const ROWS_MAX: usize = 500;

pub(crate) struct Restore {
    pub(crate) rows: LedgerRows,
}

#[async_trait]
impl Write for Restore {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let restored = self.restore(session.begin().await?).await?;
        if restored.is_err() {
            session.undo();
        }
        Ok(restored)
    }
}

impl Restore {
    async fn restore(&self, connection: &mut PgConnection) -> EngineResult<Result<()>> {
        for rows in self.rows.accounts.chunks(ROWS_MAX) {
            write_accounts(connection, rows).await?;
            let stored = read_accounts(connection, rows).await?;
            let key = |row: &(TenantId, Account)| (row.0.clone(), row.1.id.clone());
            if let Err(refusal) = compare(rows, &stored, key) {
                return Ok(Err(refusal));
            }
        }
        for rows in self.rows.holds.chunks(ROWS_MAX) {
            write_holds(connection, rows).await?;
            let stored = read_holds(connection, rows).await?;
            if let Err(refusal) = compare(rows, &stored, hold_key) {
                return Ok(Err(refusal));
            }
        }
        for rows in self.rows.entries.chunks(ROWS_MAX) {
            write_entries(connection, rows).await?;
            let stored = read_entries(connection, rows).await?;
            if let Err(refusal) = compare(rows, &stored, entry_key) {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }
}

fn hold_key(hold: &Hold) -> (TenantId, StepKey) {
    (hold.scope.tenant.clone(), hold.key.clone())
}

fn entry_key(entry: &Entry) -> (TenantId, EntryKind, String) {
    (entry.scope.tenant.clone(), entry.kind, entry.reference.clone())
}

/// Whether each row is stored as it is here.
fn compare<Row: PartialEq, Key: Ord>(
    rows: &[Row],
    stored: &[Row],
    key: impl Fn(&Row) -> Key,
) -> Result<()> {
    let stored: BTreeMap<Key, &Row> = stored.iter().map(|row| (key(row), row)).collect();
    for row in rows {
        repeat_restore(stored.get(&key(row)).copied(), row)?;
    }
    Ok(())
}

type AccountRow = (TenantId, Account);

async fn write_accounts(connection: &mut PgConnection, rows: &[AccountRow]) -> EngineResult<()> {
    let texts = |text: fn(&AccountRow) -> &str| rows.iter().map(text).collect::<Vec<&str>>();
    let numbers = |number: fn(&Account) -> i64| {
        rows.iter().map(|(_, account)| number(account)).collect::<Vec<i64>>()
    };
    let states: EngineResult<Vec<String>> =
        rows.iter().map(|(_, account)| encode(&account.state)).collect();
    let owners: Vec<Option<&str>> = rows
        .iter()
        .map(|(_, account)| account.owner.as_ref().map(|owner| owner.as_str()))
        .collect();
    sqlx::query(
        "INSERT INTO accounts
            (tenant, id, owner, kind, granted, refunded, held, posted, expired, unit, state)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(texts(|(tenant, _)| tenant.as_str()))
    .bind(texts(|(_, account)| account.id.as_str()))
    .bind(owners)
    .bind(texts(|(_, account)| account.kind.as_str()))
    .bind(numbers(|account| account.granted.nano_usd()))
    .bind(numbers(|account| account.refunded.nano_usd()))
    .bind(numbers(|account| account.held.nano_usd()))
    .bind(numbers(|account| account.posted.nano_usd()))
    .bind(numbers(|account| account.expired.nano_usd()))
    .bind(texts(|(_, account)| account.unit.as_str())) // 10
    .bind(states?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn read_accounts(
    connection: &mut PgConnection,
    rows: &[AccountRow],
) -> EngineResult<Vec<AccountRow>> {
    let tenants: Vec<&str> = rows.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let ids: Vec<&str> = rows.iter().map(|(_, account)| account.id.as_str()).collect();
    let found = sqlx::query(concat!(
        "SELECT a.tenant, ",
        account_columns!(),
        " FROM accounts a
          WHERE (a.tenant, a.id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
    ))
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    found
        .iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let tenant: TenantId = parse(columns.text()?)?;
            Ok((tenant, account_of_row(&mut columns)?))
        })
        .collect()
}

async fn write_holds(connection: &mut PgConnection, rows: &[Hold]) -> EngineResult<()> {
    let texts = |text: fn(&Hold) -> &str| rows.iter().map(text).collect::<Vec<&str>>();
    let numbers = |number: fn(&Hold) -> i64| rows.iter().map(number).collect::<Vec<i64>>();
    let legs: EngineResult<Vec<String>> = rows.iter().map(|hold| encode(&hold.legs)).collect();
    let closed: Vec<Option<i64>> =
        rows.iter().map(|hold| hold.closed_at.map(Timestamp::unix_ms)).collect();
    sqlx::query(
        "INSERT INTO holds
            (tenant, turn, step, user_id, state, legs, extended_to, opened_at, closed_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
            $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
         ON CONFLICT DO NOTHING",
    )
    .bind(texts(|hold| hold.scope.tenant.as_str()))
    .bind(texts(|hold| hold.key.turn.as_str()))
    .bind(numbers(|hold| i64::from(hold.key.step)))
    .bind(texts(|hold| hold.scope.user.as_str()))
    .bind(texts(|hold| hold.state.as_str()))
    .bind(legs?)
    .bind(numbers(|hold| i64::from(hold.extended_to)))
    .bind(numbers(|hold| hold.opened_at.unix_ms()))
    .bind(closed)
    .execute(connection)
    .await?;
    Ok(())
}

async fn read_holds(connection: &mut PgConnection, rows: &[Hold]) -> EngineResult<Vec<Hold>> {
    let tenants: Vec<&str> = rows.iter().map(|hold| hold.scope.tenant.as_str()).collect();
    let turns: Vec<&str> = rows.iter().map(|hold| hold.key.turn.as_str()).collect();
    let steps: Vec<i64> = rows.iter().map(|hold| i64::from(hold.key.step)).collect();
    let found = sqlx::query(concat!(
        "SELECT ",
        hold_columns!(),
        " FROM holds h WHERE (h.tenant, h.turn, h.step)
             IN (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]))"
    ))
    .bind(tenants)
    .bind(turns)
    .bind(steps)
    .fetch_all(connection)
    .await?;
    found.iter().map(|row| hold_of_row(&mut Columns::of(row))).collect()
}

async fn write_entries(connection: &mut PgConnection, rows: &[Entry]) -> EngineResult<()> {
    let tenants: Vec<&str> = rows.iter().map(|entry| entry.scope.tenant.as_str()).collect();
    let query = sqlx::query(
        "WITH together AS MATERIALIZED (SELECT nextval('written_together') AS pk)
         INSERT INTO entries (tenant, kind, reference, user_id, debit, credit, amount, at, pk)
         SELECT e.tenant, e.kind, e.reference, e.user_id, e.debit, e.credit, e.amount, e.at,
                together.pk + e.place
           FROM together, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::bigint[], $8::bigint[]) WITH ORDINALITY
             AS e (tenant, kind, reference, user_id, debit, credit, amount, at, place)
         ON CONFLICT DO NOTHING",
    )
    .bind(tenants);
    bind_entries(query, rows).execute(connection).await?;
    Ok(())
}

async fn read_entries(connection: &mut PgConnection, rows: &[Entry]) -> EngineResult<Vec<Entry>> {
    let tenants: Vec<&str> = rows.iter().map(|entry| entry.scope.tenant.as_str()).collect();
    let kinds: Vec<&str> = rows.iter().map(|entry| entry.kind.as_str()).collect();
    let references: Vec<String> =
        rows.iter().map(|entry| escape(&entry.reference).into_owned()).collect();
    let found = sqlx::query(concat!(
        "SELECT ",
        entry_columns!(),
        " FROM entries e WHERE (e.tenant, e.kind, e.reference)
             IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))"
    ))
    .bind(tenants)
    .bind(kinds)
    .bind(references)
    .fetch_all(connection)
    .await?;
    found.iter().map(|row| entry_of_row(&mut Columns::of(row))).collect()
}
