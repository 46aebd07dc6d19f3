//! The event log as readers see it, and the wish to stop.

use async_trait::async_trait;
use chat_persist::{EventPage, EventSegment, PersistErrorKind, Result, StopAck};
use chat_types::{Scope, TurnId, TurnState};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::{page_rows, refused};
use crate::row::Columns;
use crate::session::Session;
use crate::writer::Write;

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

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // Two queries in this order: a terminal state was read before the segments, so it covers
        // them all. Segments have no gaps: the first wanted one is the last to begin at or before
        // the next event.
        let rows = sqlx::query(
            "SELECT t.pk, t.state, t.last_seq, t.epoch, t.log_expired FROM turns t
               JOIN scopes s ON s.pk = t.scope
              WHERE t.tenant = $1 AND t.id = $3 AND s.user = $2;
             SELECT e.first_seq, e.last_seq, e.payload FROM turns t
               JOIN scopes s ON s.pk = t.scope
               JOIN event_segments e ON e.turn = t.pk
              WHERE t.tenant = $1 AND t.id = $3 AND s.user = $2 AND e.last_seq > $4
                AND e.first_seq >= coalesce((SELECT max(b.first_seq) FROM event_segments b
                    WHERE b.turn = t.pk AND b.first_seq <= $4), 0)
              ORDER BY e.first_seq LIMIT $5",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.turn.as_str())
        .bind(i64::try_from(self.after_seq).unwrap_or(i64::MAX))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        let Some((turn, segments)) = rows.split_first() else {
            let detail = format!("there is no turn {}", self.turn);
            return Ok(refused(PersistErrorKind::NotFound, "read events", detail));
        };
        let mut columns = Columns::from(turn, 1);
        Ok(Ok(EventPage {
            state: Some(columns.named(TurnState::from_stored)?),
            last_seq: columns.unsigned()?,
            epoch: columns.unsigned()?,
            expired: columns.flag()?,
            segments: segments.iter().map(segment_of).collect::<EngineResult<_>>()?,
        }))
    }
}

fn segment_of(row: &SqliteRow) -> EngineResult<EventSegment> {
    let mut columns = Columns::of(row);
    Ok(EventSegment {
        first_seq: columns.unsigned()?,
        last_seq: columns.unsigned()?,
        payload: columns.text()?.to_owned(),
    })
}

/// Asks a turn to stop.
#[derive(Debug)]
pub(crate) struct RequestStop {
    pub(crate) scope: Scope,
    pub(crate) turn: TurnId,
}

#[async_trait]
impl Write for RequestStop {
    type Output = Result<StopAck>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let row = sqlx::query(
            "SELECT t.pk, t.state FROM turns t JOIN scopes s ON s.pk = t.scope
              WHERE t.tenant = $1 AND t.id = $3 AND s.user = $2",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.turn.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            let detail = format!("there is no turn {}", self.turn);
            return Ok(refused(PersistErrorKind::NotFound, "request stop", detail));
        };
        let mut columns = Columns::of(&row);
        let pk = columns.integer()?;
        let state: TurnState = columns.named(TurnState::from_stored)?;
        if state.is_terminal() {
            return Ok(Ok(StopAck::AlreadyEnded(state)));
        }
        sqlx::query("UPDATE turns SET stop_requested = 1 WHERE pk = $1")
            .bind(pk)
            .execute(connection)
            .await?;
        Ok(Ok(StopAck::Requested))
    }
}
