//! Notices: what a refusal leaves, what nobody has delivered yet, what was delivered or is too old.

use async_trait::async_trait;
use chat_balance::{BalanceError, Notice, Result};
use chat_types::{Scope, StepKey, TenantId, Timestamp};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::page_rows;
use crate::row::{Columns, decode, encode};
use crate::session::{Session, fused};
use crate::writer::Write;

/// One notice as the writing program takes it.
#[derive(Debug, Serialize)]
pub(crate) struct NoticeRecord<'a> {
    key: &'a str,
    at: i64,
    record: String,
}

pub(crate) fn notice_record(notice: &Notice) -> EngineResult<NoticeRecord<'_>> {
    Ok(NoticeRecord { key: &notice.key, at: notice.at.unix_ms(), record: encode(notice)? })
}

/// Writes the list of this parameter for the tenant `$1`; what is there stays as it is.
macro_rules! notices_program {
    ($list:literal) => {
        concat!(
            "INSERT INTO notices (tenant, key, at, record)
                SELECT $1, value ->> 'key', value ->> 'at', value ->> 'record'
                  FROM json_each(",
            $list,
            ") WHERE true
                ON CONFLICT DO NOTHING;"
        )
    };
}
pub(crate) use notices_program;

/// Answers a refusal, which leaves its notice if it is one for want of funds.
pub(crate) async fn refuse<T>(
    session: &mut Session<'_>,
    (scope, step, at): (&Scope, &StepKey, Timestamp),
    refusal: BalanceError,
) -> EngineResult<Result<T>> {
    if let Some(notice) = Notice::of_refusal(scope, step, &refusal, at) {
        let query = sqlx::query(session.last(&fused!(notices_program!("$2"))))
            .bind(scope.tenant.as_str())
            .bind(encode(&[notice_record(&notice)?])?);
        session.save(query).await?;
    }
    Ok(Err(refusal))
}

pub(crate) struct ReadNotices {
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ReadNotices {
    type Output = Vec<Notice>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query("SELECT record FROM notices ORDER BY at, tenant, key LIMIT $1")
            .bind(page_rows(self.limit))
            .fetch_all(connection)
            .await?;
        rows.iter().map(|row| decode(Columns::of(row).text()?)).collect()
    }
}

pub(crate) struct ForgetDelivered {
    pub(crate) notices: Vec<(TenantId, String)>,
}

#[derive(Serialize)]
struct Delivered<'a> {
    tenant: &'a str,
    key: &'a str,
}

#[async_trait]
impl Write for ForgetDelivered {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let delivered: Vec<Delivered<'_>> = self
            .notices
            .iter()
            .map(|(tenant, key)| Delivered { tenant: tenant.as_str(), key })
            .collect();
        let query = sqlx::query(session.last(&fused!(
            "DELETE FROM notices WHERE (tenant, key) IN
                (SELECT value ->> 'tenant', value ->> 'key' FROM json_each($1))"
        )))
        .bind(encode(&delivered)?);
        session.save(query).await
    }
}

pub(crate) struct ExpireNotices {
    pub(crate) before: Timestamp,
    pub(crate) limit: u32,
}

#[async_trait]
impl Write for ExpireNotices {
    type Output = u64;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<u64> {
        let connection = session.connection().await?;
        let expired = sqlx::query(
            "DELETE FROM notices WHERE (tenant, key) IN
                (SELECT tenant, key FROM notices WHERE at < $1 ORDER BY at LIMIT $2)",
        )
        .bind(self.before.unix_ms())
        .bind(page_rows(self.limit))
        .execute(connection)
        .await?;
        Ok(expired.rows_affected())
    }
}
