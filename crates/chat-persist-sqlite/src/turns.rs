//! Stored turns: read with their steps, checked against a fence.

use async_trait::async_trait;
use chat_persist::stored::{amounts_of, failure_of, kind_of};
use chat_persist::{
    EventSegment, Fence, NewTurn, OpenStep, PersistErrorKind, Result, StepRecord, TurnRecord,
};
use chat_types::{Purpose, Scope, StepKey, StepState, TurnId, TurnState};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::error::{EngineResult, Failure};
use crate::readers::Read;
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::session::Bound;

/// The columns `turn_of` reads, then those `step_of` reads; one row per step, or one without.
macro_rules! turn_query {
    ($condition:literal) => {
        concat!(
            "SELECT s.tenant, s.user, t.id, c.id, t.kind, t.user_message, t.reply, t.model,
                    t.first_owner, t.idempotency_key, t.request_hash, t.created_at, t.state,
                    t.epoch, t.stop_requested, t.last_seq, t.failure, t.closed_at,
                    p.step, p.purpose, p.model, p.state, p.attempts, p.input_bound,
                    p.input_estimate, p.opened_at, p.tier, p.amounts
               FROM turns t JOIN scopes s ON s.pk = t.scope
               JOIN conversations c ON c.pk = t.conversation
               LEFT JOIN steps p ON p.turn = t.pk
              WHERE ",
            $condition,
            " ORDER BY t.tenant, t.id, p.step"
        )
    };
}
pub(crate) use turn_query;

fn turn_of(columns: &mut Columns<'_>) -> EngineResult<(Scope, TurnRecord)> {
    let scope = Scope::new(columns.parsed()?, columns.parsed()?);
    let id: TurnId = columns.parsed()?;
    let conversation = columns.parsed()?;
    let kind = kind_of(columns.text()?)?;
    let turn = NewTurn {
        id,
        conversation,
        kind,
        user_message: columns.parsed()?,
        reply: columns.parsed()?,
        model: columns.parsed()?,
        owner: columns.parsed()?,
        idempotency_key: columns.optional_parsed()?,
        request_hash: columns.text()?.to_owned(),
        created_at: columns.time()?,
    };
    let record = TurnRecord {
        turn,
        state: columns.named(TurnState::from_stored)?,
        epoch: columns.unsigned()?,
        stop_requested: columns.flag()?,
        last_seq: columns.unsigned()?,
        failure: columns.optional_text()?.map(failure_of).transpose()?,
        closed_at: columns.optional_time()?,
        steps: Vec::new(),
    };
    Ok((scope, record))
}

fn step_of(columns: &mut Columns<'_>, turn: &TurnId) -> EngineResult<StepRecord> {
    Ok(StepRecord {
        key: StepKey { turn: turn.clone(), step: columns.small()? },
        purpose: columns.named(Purpose::from_stored)?,
        model: columns.parsed()?,
        state: columns.named(StepState::from_stored)?,
        attempts: columns.small()?,
        input_bound: chat_types::Tokens::new(columns.unsigned()?),
        input_estimate: chat_types::Tokens::new(columns.unsigned()?),
        opened_at: columns.time()?,
        tier: columns.optional_text()?.map(str::to_owned),
        amounts: amounts_of(columns.text()?)?,
    })
}

/// Joins the rows of one turn.
fn joined(rows: &[SqliteRow]) -> EngineResult<Option<(Scope, TurnRecord)>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let (scope, mut record) = turn_of(&mut Columns::of(first))?;
    for row in rows {
        let mut columns = Columns::from(row, TURN_COLUMNS);
        if columns.optional_integer()?.is_some() {
            record.steps.push(step_of(&mut Columns::from(row, TURN_COLUMNS), &record.turn.id)?);
        }
    }
    Ok(Some((scope, record)))
}

/// Joins the rows of many turns, each turn's rows one after the other.
pub(crate) fn all_joined(rows: &[SqliteRow]) -> EngineResult<Vec<(Scope, TurnRecord)>> {
    let name = |row: &SqliteRow| -> EngineResult<(String, String)> {
        let mut columns = Columns::of(row);
        let (tenant, _, turn) = (columns.text()?, columns.text()?, columns.text()?);
        Ok((tenant.to_owned(), turn.to_owned()))
    };
    let names = rows.iter().map(name).collect::<EngineResult<Vec<_>>>()?;
    let mut turns = Vec::new();
    let mut rest = rows;
    for names in names.chunk_by(|one, next| one == next) {
        let (these, others) = rest.split_at(names.len());
        turns.extend(joined(these)?);
        rest = others;
    }
    Ok(turns)
}

/// How many columns of `turn_query` come before those of the step.
const TURN_COLUMNS: usize = 18;

/// Reads a turn of a scope.
#[derive(Debug)]
pub(crate) struct ReadTurn {
    pub(crate) scope: Scope,
    pub(crate) turn: TurnId,
}

#[async_trait]
impl Read for ReadTurn {
    type Output = Option<TurnRecord>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(turn_query!("t.tenant = $1 AND t.id = $3 AND s.user = $2"))
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .bind(self.turn.as_str())
            .fetch_all(connection)
            .await?;
        Ok(joined(&rows)?.map(|(_, record)| record))
    }
}

/// The turn with number `pk`, which is known to be there.
pub(crate) async fn turn_by_number(
    connection: &mut SqliteConnection,
    pk: i64,
) -> EngineResult<(Scope, TurnRecord)> {
    let rows = sqlx::query(turn_query!("t.pk = $1")).bind(pk).fetch_all(connection).await?;
    joined(&rows)?.ok_or_else(|| Failure::corrupt("a turn has lost its scope or conversation"))
}

/// The columns `open_step_of` reads, of turn `t`, step `p`, scope `s` and conversation `c`.
macro_rules! open_step_columns {
    () => {
        "s.tenant, s.user, c.id, t.state, t.epoch, t.id, p.step, p.purpose, p.model, p.state, \
         p.attempts, p.input_bound, p.input_estimate, p.opened_at, p.tier, p.amounts"
    };
}
pub(crate) use open_step_columns;

pub(crate) fn open_step_of(row: &SqliteRow) -> EngineResult<OpenStep> {
    let mut columns = Columns::of(row);
    let scope = Scope::new(columns.parsed()?, columns.parsed()?);
    let conversation = columns.parsed()?;
    let turn_state = columns.named(TurnState::from_stored)?;
    let turn_epoch = columns.unsigned()?;
    let turn: TurnId = columns.parsed()?;
    let step = step_of(&mut columns, &turn)?;
    Ok(OpenStep { scope, conversation, turn_state, turn_epoch, step })
}

/// What a fenced write needs to know of its turn.
pub(crate) struct Fenced {
    pub(crate) pk: i64,
    pub(crate) last_seq: u64,
    pub(crate) stop_requested: bool,
}

/// The turn's own columns that `fence` is checked against.
macro_rules! fenced_columns {
    () => {
        "t.pk, t.last_seq, t.stop_requested, t.epoch, t.state, s.user"
    };
}
pub(crate) use fenced_columns;

/// How many columns `fenced_columns` names.
pub(crate) const FENCED_COLUMNS: usize = 6;

/// The turn, if `fence` still holds and the turn goes on.
pub(crate) fn fenced(
    row: Option<&SqliteRow>,
    fence: &Fence,
    operation: &'static str,
) -> EngineResult<Result<Fenced>> {
    let turn = &fence.turn;
    let missing = || format!("there is no turn {turn}");
    let Some(row) = row else {
        return Ok(refused(PersistErrorKind::NotFound, operation, missing()));
    };
    let mut columns = Columns::of(row);
    let found = Fenced {
        pk: columns.integer()?,
        last_seq: columns.unsigned()?,
        stop_requested: columns.flag()?,
    };
    let epoch = columns.unsigned()?;
    let state: TurnState = columns.named(TurnState::from_stored)?;
    if columns.text()? != fence.scope.user.as_str() {
        return Ok(refused(PersistErrorKind::NotFound, operation, missing()));
    }
    if epoch != fence.epoch {
        let detail = format!("turn {turn} is at epoch {epoch}, this write at {}", fence.epoch);
        return Ok(refused(PersistErrorKind::Fenced, operation, detail));
    }
    if state.is_terminal() {
        let detail = format!("turn {turn} has ended as {}", state.as_str());
        return Ok(refused(PersistErrorKind::IllegalState, operation, detail));
    }
    Ok(Ok(found))
}

/// True of turn `t` and scope `s` exactly if [`fenced`] lets the write through; what it names is
/// bound by [`bind_fence`].
macro_rules! fence_holds {
    () => {
        "s.pk = t.scope AND t.tenant = $1 AND t.id = $2 AND s.user = $3 AND t.epoch = $4
            AND t.closed_at IS NULL"
    };
}
pub(crate) use fence_holds;

/// Binds the first four parameters.
pub(crate) fn bind_fence<'q>(query: Bound<'q>, fence: &'q Fence) -> EngineResult<Bound<'q>> {
    Ok(query
        .bind(fence.scope.tenant.as_str())
        .bind(fence.turn.as_str())
        .bind(fence.scope.user.as_str())
        .bind(stored(fence.epoch)?))
}

/// The segment begins right after `last_seq`.
pub(crate) fn follows(
    segment: &EventSegment,
    last_seq: u64,
    operation: &'static str,
) -> Result<()> {
    let is_next = Some(segment.first_seq) == last_seq.checked_add(1);
    if is_next && segment.first_seq <= segment.last_seq {
        return Ok(());
    }
    let detail = format!(
        "the events {} to {} do not follow event {last_seq}",
        segment.first_seq, segment.last_seq
    );
    refused(PersistErrorKind::IllegalState, operation, detail)
}

pub(crate) const fn is_open(state: StepState) -> bool {
    matches!(state, StepState::Held | StepState::Dispatched | StepState::Streaming)
}
