//! What recovery, audit and export read of the ledger.

use async_trait::async_trait;
use chat_balance::{Account, Entry, Hold};
use chat_types::{AccountId, StepKey, TenantId, Timestamp};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::ledger_places::{Place, WrittenPage};
use crate::ledger_rows::{
    account_columns, account_of_row, entry_columns, entry_of_row, hold_columns, hold_of_row,
};
use crate::refusal::page_rows;
use crate::row::{Columns, parse};
use crate::runner::Read;

pub(crate) struct OpenHolds {
    pub(crate) before: Timestamp,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for OpenHolds {
    type Output = Vec<Hold>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            hold_columns!(),
            " FROM holds h WHERE h.state = 'open' AND h.opened_at < $1
              ORDER BY h.opened_at, h.tenant, h.turn, h.step LIMIT $2"
        ))
        .bind(self.before.unix_ms())
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| hold_of_row(&mut Columns::of(row))).collect()
    }
}

pub(crate) struct ScanAccounts {
    pub(crate) after: Option<(TenantId, AccountId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanAccounts {
    type Output = Vec<(TenantId, Account)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, id) =
            self.after.as_ref().map_or(("", ""), |(tenant, id)| (tenant.as_str(), id.as_str()));
        let rows = sqlx::query(concat!(
            "SELECT a.tenant, ",
            account_columns!(),
            " FROM accounts a WHERE (a.tenant, a.id) > ($1, $2)
              ORDER BY a.tenant, a.id LIMIT $3"
        ))
        .bind(tenant)
        .bind(id)
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                Ok((parse(columns.text()?)?, account_of_row(&mut columns)?))
            })
            .collect()
    }
}

pub(crate) struct ScanHolds {
    pub(crate) after: Option<(TenantId, StepKey)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanHolds {
    type Output = Vec<Hold>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let (tenant, turn, step) = match &self.after {
            Some((tenant, key)) => (tenant.as_str(), key.turn.as_str(), key.step),
            None => ("", "", 0),
        };
        let rows = sqlx::query(concat!(
            "SELECT ",
            hold_columns!(),
            " FROM holds h WHERE (h.tenant, h.turn, h.step) > ($1, $2, $3)
              ORDER BY h.tenant, h.turn, h.step LIMIT $4"
        ))
        .bind(tenant)
        .bind(turn)
        .bind(i64::from(step))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| hold_of_row(&mut Columns::of(row))).collect()
    }
}

pub(crate) struct ScanEntries {
    /// A place that is known, at or before `after`.
    pub(crate) from: Place,
    pub(crate) after: u64,
    pub(crate) limit: i64,
}

#[async_trait]
impl Read for ScanEntries {
    type Output = WrittenPage<Entry>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT e.pk, ",
            entry_columns!(),
            " FROM entries e WHERE e.pk > $1 ORDER BY e.pk OFFSET $2 LIMIT $3"
        ))
        .bind(self.from.pk)
        .bind(self.from.rows_to(self.after))
        .bind(self.limit)
        .fetch_all(connection)
        .await?;
        let mut page = WrittenPage { rows: Vec::with_capacity(rows.len()), last_pk: None };
        for row in &rows {
            let mut columns = Columns::of(row);
            page.last_pk = Some(columns.integer()?);
            page.rows.push(entry_of_row(&mut columns)?);
        }
        Ok(page)
    }
}
