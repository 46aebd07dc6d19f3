//! The event log as readers see it, and the wish to stop.

use async_trait::async_trait;
use chat_persist::{EventPage, EventSegment, PersistErrorKind, Result, StopAck};
use chat_types::{Scope, TurnId, TurnState};
use sqlx::PgConnection;

use crate::error::{EngineResult, Failure};
use crate::refusal::{page_rows, refused};
use crate::row::Columns;
use crate::runner::{Read, Write};
use crate::session::Session;

/// Reads a page of segments.
#[derive(Debug)]
pub(crate) struct ReadEvents {
    pub(crate) scope: Scope,
    pub(crate) turn: TurnId,
    pub(crate) after_seq: u64,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ReadEvents {
    type Output = Result<EventPage>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // One statement has one view: a terminal state covers all segments. Segments have no gaps,
        // so the first wanted one is the last to begin at or before the next event.
        let rows = sqlx::query(
            "SELECT t.state, t.last_seq, t.epoch, t.log_expired,
                    e.first_seq, e.last_seq, e.payload
               FROM turns t LEFT JOIN LATERAL
                    (SELECT s.first_seq, s.last_seq, s.payload FROM event_segments s
                      WHERE s.tenant = $1 AND s.turn = $3 AND s.last_seq > $4
                        AND s.first_seq >= coalesce((SELECT max(b.first_seq)
                            FROM event_segments b
                           WHERE b.tenant = $1 AND b.turn = $3 AND b.first_seq <= $4), 0)
                      ORDER BY s.first_seq LIMIT $5) e ON TRUE
              WHERE t.tenant = $1 AND t.id = $3 AND t.user_id || '' = $2
              ORDER BY e.first_seq",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.turn.as_str())
        .bind(i64::try_from(self.after_seq).unwrap_or(i64::MAX))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        let Some(first) = rows.first() else {
            let detail = format!("there is no turn {}", self.turn);
            return Ok(refused(PersistErrorKind::NotFound, "read events", detail));
        };
        let mut columns = Columns::of(first);
        let mut page = EventPage {
            state: Some(columns.named(TurnState::from_stored)?),
            last_seq: columns.unsigned()?,
            epoch: columns.unsigned()?,
            expired: columns.flag()?,
            segments: Vec::new(),
        };
        for row in &rows {
            if Columns::from(row, TURN_COLUMNS).optional_integer()?.is_none() {
                continue;
            }
            let mut columns = Columns::from(row, TURN_COLUMNS);
            page.segments.push(EventSegment {
                first_seq: columns.unsigned()?,
                last_seq: columns.unsigned()?,
                payload: columns.text()?.to_owned(),
            });
        }
        Ok(Ok(page))
    }
}

/// How many columns come before those of a segment.
const TURN_COLUMNS: usize = 4;

/// Asks a turn to stop.
#[derive(Debug)]
pub(crate) struct RequestStop {
    pub(crate) scope: Scope,
    pub(crate) turn: TurnId,
}

#[async_trait]
impl Write for RequestStop {
    type Output = Result<StopAck>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.alone();
        let asked = sqlx::query(
            "UPDATE turns SET stop_requested = TRUE
              WHERE tenant = $1 AND id = $3 AND user_id || '' = $2 AND closed_at IS NULL",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.turn.as_str())
        .execute(&mut *connection)
        .await?;
        if asked.rows_affected() > 0 {
            return Ok(Ok(StopAck::Requested));
        }
        let row = sqlx::query(
            "SELECT t.state FROM turns t WHERE t.tenant = $1 AND t.id = $3
                AND t.user_id || '' = $2",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.turn.as_str())
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else {
            let detail = format!("there is no turn {}", self.turn);
            return Ok(refused(PersistErrorKind::NotFound, "request stop", detail));
        };
        let state: TurnState = Columns::of(&row).named(TurnState::from_stored)?;
        if !state.is_terminal() {
            return Err(Failure::overtaken());
        }
        Ok(Ok(StopAck::AlreadyEnded(state)))
    }
}
