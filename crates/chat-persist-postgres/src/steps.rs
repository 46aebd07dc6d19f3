//! The fenced moves of a running turn: open a step, journal an attempt, checkpoint, close a step.
//!
//! Each is one function of the schema that checks and writes in one round trip. If it did not fit,
//! the turn is read and the refusal explained; if by then it fits, others were faster, and the move
//! is made again.

use async_trait::async_trait;
use chat_persist::stored::amounts_record;
use chat_persist::{Checkpoint, Fence, NewStep, PersistErrorKind, Result, StepClose, StepRecord};
use chat_types::{AttemptKey, StepState};

use crate::error::{EngineResult, Failure};
use crate::escape::escape;
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::runner::Write;
use crate::session::Session;
use crate::turns::{bind_fence, fenced, follows, is_made, is_open};

fn find(steps: &[StepRecord], number: u32) -> Option<&StepRecord> {
    steps.iter().find(|step| step.key.step == number)
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        const OPERATION: &str = "open step";
        let step = &self.step;
        let (state, attempts) =
            if step.dispatched { (StepState::Dispatched, 1) } else { (StepState::Held, 0) };
        let query =
            sqlx::query("SELECT open_step($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
        let query = bind_fence(query, &self.fence)?
            .bind(i64::from(step.step)) // 5
            .bind(step.purpose.as_str())
            .bind(step.model.to_string())
            .bind(state.as_str())
            .bind(i64::from(attempts))
            .bind(stored(step.input_bound.get())?) // 10
            .bind(stored(step.input_estimate.get())?)
            .bind(step.opened_at.unix_ms())
            .bind(step.tier.as_deref().map(escape));
        if is_made(session, query).await? {
            return Ok(Ok(()));
        }
        let turn = match fenced(session.alone(), &self.fence, OPERATION).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(there) = find(&turn.steps, step.step) else {
            return Err(Failure::overtaken());
        };
        if self.is_same(there) {
            return Ok(Ok(()));
        }
        let detail = format!("step {} is there and another one", step.step);
        Ok(refused(PersistErrorKind::Conflict, OPERATION, detail))
    }
}

impl OpenStep {
    /// Whether the stored step was opened by this same call. Not its state: it may have moved on.
    fn is_same(&self, there: &StepRecord) -> bool {
        let step = &self.step;
        there.purpose == step.purpose
            && there.model == step.model
            && there.input_bound == step.input_bound
            && there.input_estimate == step.input_estimate
            && there.opened_at == step.opened_at
            && there.tier == step.tier
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        const OPERATION: &str = "dispatch";
        let AttemptKey { step, attempt } = &self.attempt;
        let number = step.step;
        let is_of_turn = step.turn == self.fence.turn;
        if is_of_turn {
            let query = sqlx::query("SELECT dispatch_attempt($1, $2, $3, $4, $5, $6)");
            let query =
                bind_fence(query, &self.fence)?.bind(i64::from(number)).bind(i64::from(*attempt));
            if is_made(session, query).await? {
                return Ok(Ok(()));
            }
        }
        let turn = match fenced(session.alone(), &self.fence, OPERATION).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(there) = find(&turn.steps, number).filter(|_| is_of_turn) else {
            let detail = format!("turn {} has no step {number}", self.fence.turn);
            return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
        };
        if !is_open(there.state) {
            let detail = format!("step {number} is closed as {}", there.state.as_str());
            return Ok(refused(PersistErrorKind::IllegalState, OPERATION, detail));
        }
        if (1..=there.attempts).contains(attempt) {
            return Ok(Ok(()));
        }
        if Some(*attempt) != there.attempts.checked_add(1) {
            let detail = format!("attempt {attempt} does not follow attempt {}", there.attempts);
            return Ok(refused(PersistErrorKind::IllegalState, OPERATION, detail));
        }
        Err(Failure::overtaken())
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        const OPERATION: &str = "checkpoint";
        let Checkpoint { segment, streaming_step } = &self.checkpoint;
        let query = sqlx::query("SELECT append_events($1, $2, $3, $4, $5, $6, $7, $8)");
        let query = bind_fence(query, &self.fence)?
            .bind(stored(segment.first_seq)?) // 5
            .bind(stored(segment.last_seq)?)
            .bind(segment.payload.as_str())
            .bind(streaming_step.map(i64::from));
        let row = query.fetch_one(session.alone()).await?;
        if let Some(stop_requested) = Columns::of(&row).optional_flag()? {
            return Ok(Ok(stop_requested));
        }
        let turn = match fenced(session.alone(), &self.fence, OPERATION).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if segment.first_seq <= segment.last_seq && segment.last_seq <= turn.last_seq {
            return Ok(Ok(turn.stop_requested));
        }
        if let Err(refusal) = follows(segment, turn.last_seq, OPERATION) {
            return Ok(Err(refusal));
        }
        Err(Failure::overtaken())
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        const OPERATION: &str = "close step";
        let query = sqlx::query("SELECT close_step($1, $2, $3, $4, $5, $6, $7)");
        let query = bind_fence(query, &self.fence)?
            .bind(i64::from(self.close.step))
            .bind(closed_as(&self.close).as_str())
            .bind(amounts_record(&self.close.amounts)?);
        if is_made(session, query).await? {
            return Ok(Ok(()));
        }
        let turn = match fenced(session.alone(), &self.fence, OPERATION).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = check_close(&turn.steps, &self.close, OPERATION) {
            return Ok(Err(refusal));
        }
        if find(&turn.steps, self.close.step).is_some_and(|step| is_open(step.state)) {
            return Err(Failure::overtaken());
        }
        Ok(Ok(()))
    }
}

/// The state that a step closes in.
pub(crate) const fn closed_as(close: &StepClose) -> StepState {
    if close.amounts.is_empty() { StepState::Released } else { StepState::Settling }
}

/// The step is open, or was closed before in just this way.
pub(crate) fn check_close(
    steps: &[StepRecord],
    close: &StepClose,
    operation: &'static str,
) -> Result<()> {
    let Some(there) = find(steps, close.step) else {
        let detail = format!("the turn has no step {}", close.step);
        return refused(PersistErrorKind::IllegalState, operation, detail);
    };
    if is_open(there.state) || there.amounts == close.amounts {
        return Ok(());
    }
    let detail = format!("step {} is closed as {}", close.step, there.state.as_str());
    refused(PersistErrorKind::IllegalState, operation, detail)
}
