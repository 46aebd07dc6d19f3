//! Leases, takeovers, unfinished business and scans, over all scopes.

use async_trait::async_trait;
use chat_persist::{Expired, Fence, LapsedTurn, Maintenance, OpenStep, Result, TurnRecord};
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, TenantId, Timestamp,
    TurnId,
};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::SqliteStore;
use crate::conversations::{self, ScanConversations};
use crate::error::EngineResult;
use crate::files::ScanFiles;
use crate::readers::Read;
use crate::refusal::page_rows;
use crate::restore::{RestoreTurns, ScanTurns};
use crate::row::{Columns, encode, stored};
use crate::session::{Session, fused};
use crate::turns::{open_step_columns, open_step_of};
use crate::writer::Write;

#[async_trait]
impl Maintenance for SqliteStore {
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

struct Heartbeat {
    owner: OwnerId,
    lease_until: Timestamp,
}

#[async_trait]
impl Write for Heartbeat {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let query = sqlx::query(session.last(&fused!(
            "INSERT INTO owners (id, lease_until) VALUES ($1, $2)
                ON CONFLICT DO UPDATE SET lease_until = $2"
        )))
        .bind(self.owner.as_str())
        .bind(self.lease_until.unix_ms());
        session.save(query).await
    }
}

struct Retire {
    owner: OwnerId,
}

#[async_trait]
impl Write for Retire {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let connection = session.connection().await?;
        sqlx::query("DELETE FROM owners WHERE id = $1")
            .bind(self.owner.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct StopFlags {
    owner: OwnerId,
}

#[async_trait]
impl Read for StopFlags {
    type Output = Vec<TurnId>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // By the partial index: as many rows as turns are running.
        let rows = sqlx::query(
            "SELECT id FROM turns INDEXED BY turns_running
              WHERE closed_at IS NULL AND stop_requested = 1 AND owner = $1
              ORDER BY tenant, id",
        )
        .bind(self.owner.as_str())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Columns::of(row).parsed()).collect()
    }
}

struct LapsedTurns {
    now: Timestamp,
    limit: u32,
}

#[async_trait]
impl Read for LapsedTurns {
    type Output = Vec<LapsedTurn>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(
            "SELECT s.tenant, s.user, t.id, t.epoch FROM turns t INDEXED BY turns_running
               JOIN scopes s ON s.pk = t.scope
               LEFT JOIN owners o ON o.id = t.owner
              WHERE t.closed_at IS NULL AND (o.id IS NULL OR o.lease_until <= $1)
              ORDER BY t.tenant, t.id LIMIT $2",
        )
        .bind(self.now.unix_ms())
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                Ok(LapsedTurn {
                    scope: Scope::new(columns.parsed()?, columns.parsed()?),
                    turn: columns.parsed()?,
                    epoch: columns.unsigned()?,
                    at: self.now,
                })
            })
            .collect()
    }
}

struct TakeOver {
    lapsed: LapsedTurn,
    owner: OwnerId,
}

#[async_trait]
impl Write for TakeOver {
    type Output = Option<Fence>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let Some(epoch) = self.lapsed.epoch.checked_add(1) else {
            return Ok(None);
        };
        let raised = sqlx::query(
            "UPDATE turns SET epoch = $5, owner = $6
              WHERE tenant = $1 AND id = $3 AND epoch = $4 AND closed_at IS NULL
                AND scope = (SELECT pk FROM scopes WHERE tenant = $1 AND user = $2)
                AND NOT EXISTS
                  (SELECT 1 FROM owners o WHERE o.id = turns.owner AND o.lease_until > $7)",
        )
        .bind(self.lapsed.scope.tenant.as_str())
        .bind(self.lapsed.scope.user.as_str())
        .bind(self.lapsed.turn.as_str())
        .bind(stored(self.lapsed.epoch)?)
        .bind(stored(epoch)?)
        .bind(self.owner.as_str())
        .bind(self.lapsed.at.unix_ms())
        .execute(connection)
        .await?;
        let LapsedTurn { scope, turn, .. } = self.lapsed.clone();
        Ok((raised.rows_affected() == 1).then_some(Fence { scope, turn, epoch }))
    }
}

struct UnsettledSteps {
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Read for UnsettledSteps {
    type Output = Vec<OpenStep>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM steps p INDEXED BY steps_settling JOIN turns t ON t.pk = p.turn
              JOIN scopes s ON s.pk = t.scope JOIN conversations c ON c.pk = t.conversation
              WHERE p.state = 'settling' AND p.settling_since < $1
              ORDER BY t.tenant, t.id, p.step LIMIT $2"
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

#[derive(Serialize)]
struct SettledStep<'a> {
    tenant: &'a str,
    turn: &'a str,
    step: u32,
}

#[async_trait]
impl Write for MarkSettled {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let settled: Vec<SettledStep<'_>> = self
            .steps
            .iter()
            .map(|(tenant, key)| SettledStep {
                tenant: tenant.as_str(),
                turn: key.turn.as_str(),
                step: key.step,
            })
            .collect();
        let query = sqlx::query(session.last(&fused!(
            "UPDATE steps SET state = 'settled', settling_since = NULL
              WHERE state = 'settling' AND (turn, step) IN
                (SELECT t.pk, named.value ->> 'step' FROM json_each($1) named
                  CROSS JOIN turns t ON t.tenant = named.value ->> 'tenant'
                     AND t.id = named.value ->> 'turn')"
        )))
        .bind(encode(&settled)?);
        session.save(query).await
    }
}

struct ReadStep {
    tenant: TenantId,
    key: StepKey,
}

#[async_trait]
impl Read for ReadStep {
    type Output = Option<OpenStep>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM turns t JOIN steps p ON p.turn = t.pk AND p.step = $3
              JOIN scopes s ON s.pk = t.scope JOIN conversations c ON c.pk = t.conversation
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

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let limit = page_rows(self.limit);
        let conversations = conversations::sweep(connection, self.now, limit).await?;
        let rows = sqlx::query(
            "UPDATE turns SET log_expired = 1 WHERE pk IN
                (SELECT pk FROM turns WHERE closed_at < $1 AND closed_at IS NOT NULL
                    AND log_expired = 0 ORDER BY closed_at LIMIT $2)
             RETURNING pk",
        )
        .bind(self.logs_before.unix_ms())
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
        let turns =
            rows.iter().map(|row| Columns::of(row).integer()).collect::<EngineResult<Vec<_>>>()?;
        if !turns.is_empty() {
            sqlx::query(
                "DELETE FROM event_segments WHERE turn IN (SELECT value FROM json_each($1))",
            )
            .bind(encode(&turns)?)
            .execute(connection)
            .await?;
        }
        let event_logs = u64::try_from(turns.len()).unwrap_or(u64::MAX);
        Ok(Expired { conversations, event_logs })
    }
}

struct ScanSteps {
    after: Option<(TenantId, StepKey)>,
    limit: u32,
}

#[async_trait]
impl Read for ScanSteps {
    type Output = Vec<OpenStep>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, turn, step) = match &self.after {
            Some((tenant, key)) => (tenant.as_str(), key.turn.as_str(), key.step),
            None => ("", "", 0),
        };
        let rows = sqlx::query(concat!(
            "SELECT ",
            open_step_columns!(),
            " FROM turns t JOIN steps p ON p.turn = t.pk
              JOIN scopes s ON s.pk = t.scope JOIN conversations c ON c.pk = t.conversation
              WHERE (t.tenant, t.id) >= ($1, $2) AND (t.tenant, t.id, p.step) > ($1, $2, $3)
              ORDER BY t.tenant, t.id, p.step LIMIT $4"
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
