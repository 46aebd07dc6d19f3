//! Owners: who lives, whose turns have lapsed, who takes them over, and who was asked to stop.

use async_trait::async_trait;
use chat_persist::{Fence, LapsedTurn};
use chat_types::{OwnerId, Scope, Timestamp, TurnId};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::refusal::page_rows;
use crate::row::{Columns, stored};
use crate::runner::{Read, Write};
use crate::session::Session;

pub(crate) struct Heartbeat {
    pub(crate) owner: OwnerId,
    pub(crate) lease_until: Timestamp,
}

#[async_trait]
impl Write for Heartbeat {
    type Output = ();

    async fn apply(&self, session: &mut Session) -> EngineResult<()> {
        sqlx::query(
            "INSERT INTO owners (id, lease_until) VALUES ($1, $2)
                ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
        )
        .bind(self.owner.as_str())
        .bind(self.lease_until.unix_ms())
        .execute(session.alone())
        .await?;
        Ok(())
    }
}

pub(crate) struct Retire {
    pub(crate) owner: OwnerId,
}

#[async_trait]
impl Write for Retire {
    type Output = ();

    async fn apply(&self, session: &mut Session) -> EngineResult<()> {
        sqlx::query("DELETE FROM owners WHERE id = $1")
            .bind(self.owner.as_str())
            .execute(session.alone())
            .await?;
        Ok(())
    }
}

pub(crate) struct StopFlags {
    pub(crate) owner: OwnerId,
}

#[async_trait]
impl Read for StopFlags {
    type Output = Vec<TurnId>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // By the partial index: as many rows as turns of this owner are running.
        let rows = sqlx::query(
            "SELECT t.id FROM turns t
              WHERE t.owner = $1 AND t.closed_at IS NULL AND t.stop_requested
              ORDER BY t.tenant, t.id",
        )
        .bind(self.owner.as_str())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Columns::of(row).parsed()).collect()
    }
}

pub(crate) struct LapsedTurns {
    pub(crate) now: Timestamp,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for LapsedTurns {
    type Output = Vec<LapsedTurn>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(
            "SELECT t.tenant, t.user_id, t.id, t.epoch FROM turns t
              WHERE t.closed_at IS NULL AND NOT EXISTS
                (SELECT 1 FROM owners o WHERE o.id = t.owner AND o.lease_until > $1)
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

pub(crate) struct TakeOver {
    pub(crate) lapsed: LapsedTurn,
    pub(crate) owner: OwnerId,
}

#[async_trait]
impl Write for TakeOver {
    type Output = Option<Fence>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let LapsedTurn { scope, turn, epoch: seen, at } = &self.lapsed;
        let Some(epoch) = seen.checked_add(1) else {
            return Ok(None);
        };
        // The turn first: an owner that beats after the next statement began opens its step behind
        // this lock, and finds the epoch raised.
        sqlx::query("SELECT 1 FROM turns WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE")
            .bind(scope.tenant.as_str())
            .bind(turn.as_str())
            .execute(session.begin().await?)
            .await?;
        let raised = sqlx::query(
            "UPDATE turns t SET epoch = $5, owner = $6
              WHERE t.tenant = $1 AND t.id = $3 AND t.user_id || '' = $2 AND t.epoch = $4
                AND t.closed_at IS NULL AND NOT EXISTS
                  (SELECT 1 FROM owners o WHERE o.id = t.owner AND o.lease_until > $7)",
        )
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(turn.as_str())
        .bind(stored(*seen)?)
        .bind(stored(epoch)?)
        .bind(self.owner.as_str())
        .bind(at.unix_ms())
        .execute(session.begin().await?)
        .await?;
        let is_ours = raised.rows_affected() == 1
            || (session.is_repeat() && self.has_won(session, epoch).await?);
        Ok(is_ours.then(|| Fence { scope: scope.clone(), turn: turn.clone(), epoch }))
    }
}

impl TakeOver {
    /// Whether an earlier run of this call took the turn, and its answer was lost.
    async fn has_won(&self, session: &mut Session, epoch: u64) -> EngineResult<bool> {
        let row = sqlx::query(
            "SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.id = $3 AND t.user_id || '' = $2
                AND t.epoch = $4 AND t.owner = $5 AND t.closed_at IS NULL",
        )
        .bind(self.lapsed.scope.tenant.as_str())
        .bind(self.lapsed.scope.user.as_str())
        .bind(self.lapsed.turn.as_str())
        .bind(stored(epoch)?)
        .bind(self.owner.as_str())
        .fetch_optional(session.alone())
        .await?;
        Ok(row.is_some())
    }
}
