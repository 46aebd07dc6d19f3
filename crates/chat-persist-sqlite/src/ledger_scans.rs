//! What recovery and audit read of the ledger, and one hold.

use async_trait::async_trait;
use chat_balance::{Account, Entry, Hold};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::ledger_rows::{
    account_columns, account_of_row, entry_columns, entry_of_row, hold_columns, hold_of_row,
};
use crate::readers::Read;
use crate::refusal::page_rows;
use crate::row::{Columns, parse};

pub(crate) struct ReadHold {
    pub(crate) scope: Scope,
    pub(crate) key: StepKey,
}

#[async_trait]
impl Read for ReadHold {
    type Output = Option<Hold>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            hold_columns!(),
            " FROM holds h WHERE h.tenant = $1 AND h.turn = $2 AND h.step = $3 AND h.user = $4"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.key.turn.as_str())
        .bind(i64::from(self.key.step))
        .bind(self.scope.user.as_str())
        .fetch_optional(connection)
        .await?;
        row.as_ref().map(|row| hold_of_row(&mut Columns::of(row))).transpose()
    }
}

pub(crate) struct OpenHolds {
    pub(crate) before: Timestamp,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for OpenHolds {
    type Output = Vec<Hold>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            hold_columns!(),
            " FROM holds h INDEXED BY holds_open WHERE h.state = 'open' AND h.opened_at < $1
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

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
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

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
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
    pub(crate) after: u64,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanEntries {
    type Output = Vec<Entry>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // Numbers count from 1 without gaps, so the number is the count skipped.
        let rows = sqlx::query(concat!(
            "SELECT ",
            entry_columns!(),
            " FROM entries e WHERE e.pk > $1 ORDER BY e.pk LIMIT $2"
        ))
        .bind(i64::try_from(self.after).unwrap_or(i64::MAX))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| entry_of_row(&mut Columns::of(row))).collect()
    }
}
