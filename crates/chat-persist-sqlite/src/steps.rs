//! The fenced moves of a running turn: open a step, journal an attempt, checkpoint, close a step.
//!
//! To open a step and to checkpoint is one program that checks and writes. The other moves, and
//! every refusal, begin with one query that reads the turn with the step it is about.

use async_trait::async_trait;
use chat_persist::stored::{amounts_of, amounts_record};
use chat_persist::{Checkpoint, Fence, NewStep, PersistErrorKind, Result, StepClose};
use chat_types::{AttemptKey, StepState, Tokens};
use sqlx::sqlite::SqliteRow;

use crate::error::{EngineResult, Failure};
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::session::{Session, fused, guard};
use crate::turns::{
    FENCED_COLUMNS, Fenced, bind_fence, fence_holds, fenced, fenced_columns, follows, is_open,
};
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
           p.opened_at, p.tier
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
        if self.open(session).await? {
            return Ok(Ok(()));
        }
        let number = self.step.step;
        let row = turn_and_step(session, &self.fence, number).await?;
        if let Err(refusal) = fenced(row.as_ref(), &self.fence, OPERATION)? {
            return Ok(Err(refusal));
        }
        let Some((_, columns)) = row.as_ref().map(step_state).transpose()?.flatten() else {
            return Err(Failure::corrupt("a step that fits was not written"));
        };
        if self.is_same(columns)? {
            return Ok(Ok(()));
        }
        let detail = format!("step {number} is there and another one");
        Ok(refused(PersistErrorKind::Conflict, OPERATION, detail))
    }
}

impl OpenStep {
    /// Whether the step was new and the fence held: then it is open.
    async fn open(&self, session: &mut Session<'_>) -> EngineResult<bool> {
        let step = &self.step;
        let (state, attempts) =
            if step.dispatched { (StepState::Dispatched, 1) } else { (StepState::Held, 0) };
        let query = sqlx::query(session.last(&fused!(
            "INSERT INTO steps (turn, step, purpose, model, state, attempts, input_bound,
                    input_estimate, opened_at, tier, amounts)
                SELECT t.pk, $5, $6, $7, $8, $9, $10, $11, $12, $13, '[]' FROM turns t, scopes s WHERE ",
            fence_holds!(),
            " ON CONFLICT DO NOTHING",
            guard!(),
            "; UPDATE turns SET state = 'running'
                WHERE tenant = $1 AND id = $2 AND state <> 'running'"
        )));
        let query = bind_fence(query, &self.fence)?
            .bind(i64::from(step.step)) // 5
            .bind(step.purpose.as_str())
            .bind(step.model.to_string())
            .bind(state.as_str())
            .bind(attempts)
            .bind(stored(step.input_bound.get())?) // 10
            .bind(stored(step.input_estimate.get())?)
            .bind(step.opened_at.unix_ms())
            .bind(step.tier.as_deref());
        Ok(session.attempt(query).await?.is_some())
    }

    /// Whether the stored step was opened by this same call. Not its state: it may have moved on.
    fn is_same(&self, mut columns: Columns<'_>) -> EngineResult<bool> {
        let step = &self.step;
        columns.integer()?; // attempts
        columns.text()?; // amounts
        Ok(columns.text()? == step.purpose.as_str()
            && columns.text()? == step.model.to_string()
            && columns.unsigned()? == step.input_bound.get()
            && Tokens::new(columns.unsigned()?) == step.input_estimate
            && columns.time()? == step.opened_at
            && columns.optional_text()? == step.tier.as_deref())
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
        if let Some(stop_requested) = self.append(session).await? {
            return Ok(Ok(stop_requested));
        }
        let segment = &self.checkpoint.segment;
        let row = turn_and_step(session, &self.fence, 0).await?;
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
        Err(Failure::corrupt("events that follow were not written"))
    }
}

impl AppendEvents {
    /// Whether a stop is wanted, if the segment follows and the fence held: then it is written.
    async fn append(&self, session: &mut Session<'_>) -> EngineResult<Option<bool>> {
        let Checkpoint { segment, streaming_step } = &self.checkpoint;
        let query = sqlx::query(session.last(&fused!(
            "UPDATE turns AS t SET last_seq = $6 FROM scopes s WHERE ",
            fence_holds!(),
            " AND t.last_seq + 1 = $5 AND $5 <= $6 RETURNING stop_requested",
            guard!(),
            "; INSERT INTO event_segments (turn, first_seq, last_seq, payload)
                SELECT pk, $5, $6, $7 FROM turns WHERE tenant = $1 AND id = $2;
             UPDATE steps SET state = 'streaming' FROM turns t
              WHERE t.tenant = $1 AND t.id = $2 AND steps.turn = t.pk AND steps.step = $8
                AND steps.state = 'dispatched'"
        )));
        let query = bind_fence(query, &self.fence)?
            .bind(stored(segment.first_seq)?) // 5
            .bind(stored(segment.last_seq)?)
            .bind(segment.payload.as_str())
            .bind(streaming_step.map(i64::from));
        let rows = session.attempt(query).await?;
        let row = rows.as_deref().and_then(<[SqliteRow]>::first);
        row.map(|row| Columns::of(row).flag()).transpose()
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
    if close.amounts.is_empty() { StepState::Released } else { StepState::Settling }
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
