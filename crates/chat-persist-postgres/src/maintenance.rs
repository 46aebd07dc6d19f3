//! The port of recovery and operator commands: each method hands one command to the runner.

use async_trait::async_trait;
use chat_persist::{Expired, Fence, LapsedTurn, Maintenance, OpenStep, Result, TurnRecord};
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, TenantId, Timestamp,
    TurnId,
};
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::conversations::{self, ScanConversations};
use crate::error::EngineResult;
use crate::files::ScanFiles;
use crate::leases::{Heartbeat, LapsedTurns, Retire, StopFlags, TakeOver};
use crate::refusal::page_rows;
use crate::restore::{RestoreTurns, ScanTurns};
use crate::runner::{Read, Write};
use crate::session::Session;
use crate::turns::{open_step_columns, open_step_of};

#[async_trait]
impl Maintenance for PostgresStore {
    async fn heartbeat(&self, owner: &OwnerId, lease_until: Timestamp) -> Result<()> {
        let write = Heartbeat { owner: owner.clone(), lease_until };
        self.write(write).await.map_err(|failure| failure.persist("heartbeat"))
    }

    async fn retire(&self, owner: &OwnerId) -> Result<()> {
        let write = Retire { owner: owner.clone() };
        self.write(write).await.map_err(|failure| failure.persist("retire"))
    }

    async fn stop_flags(&self, owner: &OwnerId) -> Result<Vec<TurnId>> {
        let read = StopFlags { owner: owner.clone() };
        self.read(read).await.map_err(|failure| failure.persist("read stop flags"))
    }

    async fn lapsed_turns(&self, now: Timestamp, limit: u32) -> Result<Vec<LapsedTurn>> {
        let read = LapsedTurns { now, limit };
        self.read(read).await.map_err(|failure| failure.persist("find lapsed turns"))
    }

    async fn take_over(&self, lapsed: &LapsedTurn, owner: &OwnerId) -> Result<Option<Fence>> {
        let write = TakeOver { lapsed: lapsed.clone(), owner: owner.clone() };
        self.write(write).await.map_err(|failure| failure.persist("take over"))
    }

    async fn unsettled_steps(&self, before: Timestamp, limit: u32) -> Result<Vec<OpenStep>> {
        let read = UnsettledSteps { before, limit };
        self.read(read).await.map_err(|failure| failure.persist("find unsettled steps"))
    }

    async fn mark_settled(&self, steps: &[(TenantId, StepKey)]) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let write = MarkSettled { steps: steps.to_vec() };
        self.write(write).await.map_err(|failure| failure.persist("mark settled"))
    }

    async fn step(&self, tenant: &TenantId, key: &StepKey) -> Result<Option<OpenStep>> {
        let read = ReadStep { tenant: tenant.clone(), key: key.clone() };
        self.read(read).await.map_err(|failure| failure.persist("read step"))
    }

    async fn sweep(&self, now: Timestamp, logs_before: Timestamp, limit: u32) -> Result<Expired> {
        let write = Sweep { now, logs_before, limit };
        self.write(write).await.map_err(|failure| failure.persist("sweep"))
    }

    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>> {
        let read = ScanConversations { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.persist("scan conversations"))
    }

    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>> {
        let read = ScanFiles { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.persist("scan files"))
    }

    async fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>> {
        let read = ScanTurns { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.persist("scan turns"))
    }

    async fn restore_turns(&self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        if turns.is_empty() {
            return Ok(());
        }
        let write = RestoreTurns { turns: turns.to_vec() };
        self.write(write).await.map_err(|failure| failure.persist("restore turns"))?
    }

    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>> {
        let read = ScanSteps { after: after.cloned(), limit };
        self.read(read).await.map_err(|failure| failure.persist("scan steps"))
    }
}

struct UnsettledSteps {
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Read for UnsettledSteps {
    type Output = Vec<OpenStep>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM steps p JOIN turns t ON t.tenant = p.tenant AND t.id = p.turn
              WHERE p.state = 'settling' AND p.settling_since < $1
              ORDER BY p.tenant, p.turn, p.step LIMIT $2"
        ))
        .bind(self.before.unix_ms())
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(open_step_of).collect()
    }
}

struct MarkSettled {
    steps: Vec<(TenantId, StepKey)>,
}

#[async_trait]
impl Write for MarkSettled {
    type Output = ();

    async fn apply(&self, session: &mut Session) -> EngineResult<()> {
        let steps = &self.steps;
        sqlx::query(
            "UPDATE steps p SET state = 'settled', settling_since = NULL
               FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) AS named (tenant, turn, step)
              WHERE p.tenant = named.tenant AND p.turn = named.turn AND p.step = named.step
                AND p.state = 'settling'",
        )
        .bind(steps.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<&str>>())
        .bind(steps.iter().map(|(_, key)| key.turn.as_str()).collect::<Vec<&str>>())
        .bind(steps.iter().map(|(_, key)| i64::from(key.step)).collect::<Vec<i64>>())
        .execute(session.alone())
        .await?;
        Ok(())
    }
}

struct ReadStep {
    tenant: TenantId,
    key: StepKey,
}

#[async_trait]
impl Read for ReadStep {
    type Output = Option<OpenStep>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM turns t JOIN steps p ON p.tenant = t.tenant AND p.turn = t.id AND p.step = $3
              WHERE t.tenant = $1 AND t.id = $2"
        ))
        .bind(self.tenant.as_str())
        .bind(self.key.turn.as_str())
        .bind(i64::from(self.key.step))
        .fetch_optional(connection)
        .await?;
        row.as_ref().map(open_step_of).transpose()
    }
}

struct Sweep {
    now: Timestamp,
    logs_before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Write for Sweep {
    type Output = Expired;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.alone();
        let limit = page_rows(self.limit);
        let conversations = conversations::sweep(connection, self.now, limit).await?;
        // Two sweeps at once share the work.
        let expired = sqlx::query(
            "WITH ended AS (
                SELECT t.tenant, t.id FROM turns t
                 WHERE t.closed_at IS NOT NULL AND t.closed_at < $1 AND NOT t.log_expired
                 ORDER BY t.closed_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED),
             gone AS (
                DELETE FROM event_segments e USING ended
                 WHERE e.tenant = ended.tenant AND e.turn = ended.id)
             UPDATE turns t SET log_expired = TRUE FROM ended
              WHERE t.tenant = ended.tenant AND t.id = ended.id",
        )
        .bind(self.logs_before.unix_ms())
        .bind(limit)
        .execute(connection)
        .await?;
        Ok(Expired { conversations, event_logs: expired.rows_affected() })
    }
}

struct ScanSteps {
    after: Option<(TenantId, StepKey)>,
    limit: u32,
}

#[async_trait]
impl Read for ScanSteps {
    type Output = Vec<OpenStep>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, turn, step) = match &self.after {
            Some((tenant, key)) => (tenant.as_str(), key.turn.as_str(), key.step),
            None => ("", "", 0),
        };
        let rows = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM steps p JOIN turns t ON t.tenant = p.tenant AND t.id = p.turn
              WHERE (p.tenant, p.turn, p.step) > ($1, $2, $3)
              ORDER BY p.tenant, p.turn, p.step LIMIT $4"
        ))
        .bind(tenant)
        .bind(turn)
        .bind(i64::from(step))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(open_step_of).collect()
    }
}
