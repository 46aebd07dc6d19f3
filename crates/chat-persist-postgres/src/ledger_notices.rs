//! Notices: what a refusal leaves, what nobody has delivered yet, what was delivered or is too old.

use async_trait::async_trait;
use chat_balance::Notice;
use chat_types::{TenantId, Timestamp};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::refusal::page_rows;
use crate::row::{Columns, decode, encode};
use crate::runner::{Read, Write};
use crate::session::Session;

/// Writes the notice of a refusal; one that is there stays as it is.
pub(crate) async fn note(connection: &mut PgConnection, notice: &Notice) -> EngineResult<()> {
    sqlx::query(
        "INSERT INTO notices (tenant, key, at, record) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(notice.scope.tenant.as_str())
    .bind(notice.key.as_str())
    .bind(notice.at.unix_ms())
    .bind(encode(notice)?)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) struct ReadNotices {
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ReadNotices {
    type Output = Vec<Notice>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
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

#[async_trait]
impl Write for ForgetDelivered {
    type Output = ();

    async fn apply(&self, session: &mut Session) -> EngineResult<()> {
        let (tenants, keys): (Vec<&str>, Vec<&str>) =
            self.notices.iter().map(|(tenant, key)| (tenant.as_str(), key.as_str())).unzip();
        // Locked in one order, so that two who deliver the same do not wait in a circle.
        sqlx::query(
            "DELETE FROM notices n USING (
                SELECT n.tenant, n.key FROM notices n
                  JOIN unnest($1::text[], $2::text[]) AS told (tenant, key)
                    ON n.tenant = told.tenant AND n.key = told.key
                 ORDER BY n.tenant, n.key FOR UPDATE OF n) AS told
              WHERE n.tenant = told.tenant AND n.key = told.key",
        )
        .bind(tenants)
        .bind(keys)
        .execute(session.alone())
        .await?;
        Ok(())
    }
}

pub(crate) struct ExpireNotices {
    pub(crate) before: Timestamp,
    pub(crate) limit: u32,
}

#[async_trait]
impl Write for ExpireNotices {
    type Output = u64;

    async fn apply(&self, session: &mut Session) -> EngineResult<u64> {
        // Two sweeps at once share the work.
        let expired = sqlx::query(
            "DELETE FROM notices n USING (
                SELECT tenant, key FROM notices WHERE at < $1
                 ORDER BY at, tenant, key LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
              WHERE n.tenant = old.tenant AND n.key = old.key",
        )
        .bind(self.before.unix_ms())
        .bind(page_rows(self.limit))
        .execute(session.alone())
        .await?;
        Ok(expired.rows_affected())
    }
}
