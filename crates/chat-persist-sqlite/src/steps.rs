//! The fenced moves of a running turn: open a step, journal an attempt, checkpoint, close a step.
//!
//! Each is one query that reads the turn with the step it is about, and one program that writes.

use async_trait::async_trait;
use chat_persist::{Checkpoint, Fence, NewStep, PersistErrorKind, Result, StepClose};
use chat_types::{AttemptKey, StepState, Tokens};
use sqlx::sqlite::SqliteRow;

use crate::error::EngineResult;
use crate::record::{amounts_of, amounts_record};
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::session::{Session, fused};
use crate::turns::{FENCED_COLUMNS, Fenced, fenced, fenced_columns, follows, is_open};
use crate::writer::Write;

/// Reads the turn of `fence` and, in the columns after its own, what is stored of step `number`.
async fn turn_and_step(
    session: &mut Session<'_>,
    fence: &Fence,
    number: u32,
) -> EngineResult<Option<SqliteRow>> {
    let query = sqlx::query(session.first(&fused!(
        "SELECT ",
        fenced_columns!(),
        ", p.state, p.attempts, p.amounts, p.purpose, p.model, p.input_bound, p.input_estimate,
           p.opened_at
          FROM turns t JOIN scopes s ON s.pk = t.scope
          LEFT JOIN steps p ON p.turn = t.pk AND p.step = $3
         WHERE t.tenant = $1 AND t.id = $2"
    )))
    .bind(fence.scope.tenant.as_str())
    .bind(fence.turn.as_str())
    .bind(i64::from(number));
    Ok(session.load(query).await?.into_iter().next())
}

/// The stored step's state, with the reader placed behind it; none if there is no such step.
fn step_state(row: &SqliteRow) -> EngineResult<Option<(StepState, Columns<'_>)>> {
    let mut columns = Columns::from(row, FENCED_COLUMNS);
    if columns.optional_text()?.is_none() {
        return Ok(None);
    }
    let mut columns = Columns::from(row, FENCED_COLUMNS);
    let state = columns.named(StepState::from_stored)?;
    Ok(Some((state, columns)))
}

/// Opens a step.
#[derive(Debug)]
pub(crate) struct OpenStep {
    pub(crate) fence: Fence,
    pub(crate) step: NewStep,
}

#[async_trait]
impl Write for OpenStep {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        const OPERATION: &str = "open step";
        let step = &self.step;
        let row = turn_and_step(session, &self.fence, step.step).await?;
        let turn = match fenced(row.as_ref(), &self.fence, OPERATION)? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some((_, columns)) = row.as_ref().map(step_state).transpose()?.flatten() {
            if self.is_same(columns)? {
                return Ok(Ok(()));
            }
            let detail = format!("step {} is there and another one", step.step);
            return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
        }
        let (state, attempts) = if step.dispatched {
            (StepState::Dispatched, 1)
        } else {
            (StepState::Held, 0)
        };
        let query = sqlx::query(session.last(&fused!(
            "INSERT INTO steps (turn, step, purpose, model, state, attempts, input_bound,
                    input_estimate, opened_at, amounts)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '[]');
             UPDATE turns SET state = 'running' WHERE pk = $1 AND state <> 'running'"
        )))
        .bind(turn.pk)
        .bind(i64::from(step.step))
        .bind(step.purpose.as_str())
        .bind(step.model.to_string())
        .bind(state.as_str())
        .bind(attempts)
        .bind(stored(step.input_bound.get())?)
        .bind(stored(step.input_estimate.get())?)
        .bind(step.opened_at.unix_ms());
        session.save(query).await?;
        Ok(Ok(()))
    }
}

impl OpenStep {
    /// Whether the stored step was opened by this same call. Not its state: it may have moved on.
    fn is_same(&self, mut columns: Columns<'_>) -> EngineResult<bool> {
        let step = &self.step;
        columns.integer()?; // attempts
        columns.text()?; // amounts
        Ok(columns.text()? == step.purpose.as_str()
            && columns.text()? == step.model.to_string()
            && columns.unsigned()? == step.input_bound.get()
            && Tokens::new(columns.unsigned()?) == step.input_estimate
            && columns.time()? == step.opened_at)
    }
}

/// Journals an attempt.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) fence: Fence,
    pub(crate) attempt: AttemptKey,
}

#[async_trait]
impl Write for Dispatch {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        const OPERATION: &str = "dispatch";
        let number = self.attempt.step.step;
        let row = turn_and_step(session, &self.fence, number).await?;
        let turn = match fenced(row.as_ref(), &self.fence, OPERATION)? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let step = row
            .as_ref()
            .filter(|_| self.attempt.step.turn == self.fence.turn)
            .map(step_state)
            .transpose()?
            .flatten();
        let Some((state, mut columns)) = step else {
            let detail = format!("turn {} has no step {number}", self.fence.turn);
            return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
        };
        if !is_open(state) {
            let detail = format!("step {number} is closed as {}", state.as_str());
            return Ok(refused(PersistErrorKind::IllegalState, OPERATION, detail));
        }
        let (attempts, attempt) = (columns.small()?, self.attempt.attempt);
        if (1..=attempts).contains(&attempt) {
            return Ok(Ok(()));
        }
        if Some(attempt) != attempts.checked_add(1) {
            let detail = format!("attempt {attempt} does not follow attempt {attempts}");
            return Ok(refused(PersistErrorKind::IllegalState, OPERATION, detail));
        }
        let query = sqlx::query(session.last(&fused!(
            "UPDATE steps SET attempts = $3,
                    state = CASE state WHEN 'held' THEN 'dispatched' ELSE state END
              WHERE turn = $1 AND step = $2"
        )))
        .bind(turn.pk)
        .bind(i64::from(number))
        .bind(i64::from(attempt));
        session.save(query).await?;
        Ok(Ok(()))
    }
}

/// Appends events.
#[derive(Debug)]
pub(crate) struct AppendEvents {
    pub(crate) fence: Fence,
    pub(crate) checkpoint: Checkpoint,
}

#[async_trait]
impl Write for AppendEvents {
    type Output = Result<bool>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        const OPERATION: &str = "checkpoint";
        let Checkpoint {
            segment,
            streaming_step,
        } = &self.checkpoint;
        let row = turn_and_step(session, &self.fence, streaming_step.unwrap_or(0)).await?;
        let turn = match fenced(row.as_ref(), &self.fence, OPERATION)? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if segment.first_seq <= segment.last_seq && segment.last_seq <= turn.last_seq {
            return Ok(Ok(turn.stop_requested));
        }
        if let Err(refusal) = follows(segment, turn.last_seq, OPERATION) {
            return Ok(Err(refusal));
        }
        let query = sqlx::query(session.last(&fused!(
            "INSERT INTO event_segments (turn, first_seq, last_seq, payload)
                VALUES ($1, $2, $3, $4);
             UPDATE turns SET last_seq = $3 WHERE pk = $1;
             UPDATE steps SET state = 'streaming'
              WHERE turn = $1 AND step = $5 AND state = 'dispatched'"
        )))
        .bind(turn.pk)
        .bind(stored(segment.first_seq)?)
        .bind(stored(segment.last_seq)?)
        .bind(segment.payload.as_str())
        .bind(streaming_step.map(i64::from));
        session.save(query).await?;
        Ok(Ok(turn.stop_requested))
    }
}

/// Closes one step.
#[derive(Debug)]
pub(crate) struct CloseStep {
    pub(crate) fence: Fence,
    pub(crate) close: StepClose,
}

#[async_trait]
impl Write for CloseStep {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        const OPERATION: &str = "close step";
        let number = self.close.step;
        let row = turn_and_step(session, &self.fence, number).await?;
        let Fenced { pk, .. } = match fenced(row.as_ref(), &self.fence, OPERATION)? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let stored_step = match row.as_ref().map(step_state).transpose()?.flatten() {
            None => None,
            Some((state, mut columns)) => {
                columns.integer()?; // attempts
                Some((state, amounts_of(columns.text()?)?))
            }
        };
        if let Err(refusal) = check_close(stored_step.as_ref(), &self.close, OPERATION) {
            return Ok(Err(refusal));
        }
        // The ledger is late from the moment the step was opened: the call carries no other time.
        let query = sqlx::query(session.last(&fused!(
            "UPDATE steps SET state = $3, amounts = $4,
                    settling_since = CASE $3 WHEN 'settling' THEN opened_at END
              WHERE turn = $1 AND step = $2 AND state IN ('held', 'dispatched', 'streaming')"
        )))
        .bind(pk)
        .bind(i64::from(number))
        .bind(closed_as(&self.close).as_str())
        .bind(amounts_record(&self.close.amounts)?);
        session.save(query).await?;
        Ok(Ok(()))
    }
}

/// The state that a step closes in.
pub(crate) const fn closed_as(close: &StepClose) -> StepState {
    if close.amounts.is_empty() {
        StepState::Released
    } else {
        StepState::Settling
    }
}

/// The step is open, or was closed before in just this way.
pub(crate) fn check_close(
    stored_step: Option<&(StepState, Vec<chat_persist::AttemptAmount>)>,
    close: &StepClose,
    operation: &'static str,
) -> Result<()> {
    let Some((state, amounts)) = stored_step else {
        let detail = format!("the turn has no step {}", close.step);
        return refused(PersistErrorKind::IllegalState, operation, detail);
    };
    if is_open(*state) || *amounts == close.amounts {
        return Ok(());
    }
    let detail = format!("step {} is closed as {}", close.step, state.as_str());
    refused(PersistErrorKind::IllegalState, operation, detail)
}
