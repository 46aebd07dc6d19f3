//! Stored turns: read with their steps, checked against a fence.

use async_trait::async_trait;
use chat_persist::stored::{amounts_of, failure_of, kind_of};
use chat_persist::{
    EventSegment, Fence, NewTurn, OpenStep, PersistErrorKind, Result, StepRecord, TurnRecord,
};
use chat_types::{IdempotencyKey, Purpose, Scope, StepKey, StepState, TenantId, TurnId, TurnState};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::error::EngineResult;
use crate::refusal::refused;
use crate::row::{Bound, Columns, stored};
use crate::runner::Read;
use crate::session::Session;

/// The columns `turn_of` reads, then those `step_of` reads; one row per step, or one without.
macro_rules! turn_query {
    ($turns:literal, $order:literal) => {
        concat!(
            "SELECT t.tenant, t.user_id, t.id, t.conversation, t.kind, t.user_message, t.reply,
                    t.model, t.first_owner, t.idempotency_key, t.request_hash, t.created_at,
                    t.state, t.epoch, t.stop_requested, t.last_seq, t.failure, t.closed_at,
                    p.step, p.purpose, p.model, p.state, p.attempts, p.input_bound,
                    p.input_estimate, p.opened_at, p.tier, p.amounts
               FROM ",
            $turns,
            " LEFT JOIN steps p ON p.tenant = t.tenant AND p.turn = t.id ORDER BY ",
            $order
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
        request_hash: columns.escaped()?,
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
        tier: columns.optional_escaped()?,
        amounts: amounts_of(columns.text()?)?,
    })
}

/// Joins the rows of one turn.
fn joined(rows: &[PgRow]) -> EngineResult<Option<(Scope, TurnRecord)>> {
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
pub(crate) fn all_joined(rows: &[PgRow]) -> EngineResult<Vec<(Scope, TurnRecord)>> {
    let name = |row: &PgRow| -> EngineResult<(String, String)> {
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

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let found = turn_at(connection, &self.scope.tenant, &self.turn).await?;
        Ok(found.filter(|(scope, _)| *scope == self.scope).map(|(_, record)| record))
    }
}

/// The tenant's turn of this id, whoever owns it.
pub(crate) async fn turn_at(
    connection: &mut PgConnection,
    tenant: &TenantId,
    turn: &TurnId,
) -> EngineResult<Option<(Scope, TurnRecord)>> {
    let rows =
        sqlx::query(turn_query!("(SELECT * FROM turns WHERE tenant = $1 AND id = $2) t", "p.step"))
            .bind(tenant.as_str())
            .bind(turn.as_str())
            .fetch_all(connection)
            .await?;
    joined(&rows)
}

/// The turn that the scope has made with this key.
pub(crate) async fn turn_of_key(
    connection: &mut PgConnection,
    scope: &Scope,
    key: &IdempotencyKey,
) -> EngineResult<Option<(Scope, TurnRecord)>> {
    let rows = sqlx::query(turn_query!(
        "(SELECT * FROM turns WHERE tenant = $1 AND user_id = $2 AND idempotency_key = $3) t",
        "p.step"
    ))
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(key.as_str())
    .fetch_all(connection)
    .await?;
    joined(&rows)
}

/// The columns `open_step_of` reads, of turn `t` and step `p`.
macro_rules! open_step_columns {
    () => {
        "t.tenant, t.user_id, t.conversation, t.state, t.epoch, t.id, p.step, p.purpose, p.model, \
         p.state, p.attempts, p.input_bound, p.input_estimate, p.opened_at, p.tier, p.amounts"
    };
}
pub(crate) use open_step_columns;

pub(crate) fn open_step_of(row: &PgRow) -> EngineResult<OpenStep> {
    let mut columns = Columns::of(row);
    let scope = Scope::new(columns.parsed()?, columns.parsed()?);
    let conversation = columns.parsed()?;
    let turn_state = columns.named(TurnState::from_stored)?;
    let turn_epoch = columns.unsigned()?;
    let turn: TurnId = columns.parsed()?;
    let step = step_of(&mut columns, &turn)?;
    Ok(OpenStep { scope, conversation, turn_state, turn_epoch, step })
}

/// Why the fence did not let a write through, if that was it: reads the turn as it is now.
pub(crate) async fn fenced(
    connection: &mut PgConnection,
    fence: &Fence,
    operation: &'static str,
) -> EngineResult<Result<TurnRecord>> {
    let found = turn_at(connection, &fence.scope.tenant, &fence.turn).await?;
    Ok(check_fence(found, fence, operation))
}

fn check_fence(
    found: Option<(Scope, TurnRecord)>,
    fence: &Fence,
    operation: &'static str,
) -> Result<TurnRecord> {
    let turn = &fence.turn;
    let Some((_, record)) = found.filter(|(scope, _)| *scope == fence.scope) else {
        let detail = format!("there is no turn {turn}");
        return refused(PersistErrorKind::NotFound, operation, detail);
    };
    if record.epoch != fence.epoch {
        let detail =
            format!("turn {turn} is at epoch {}, this write at {}", record.epoch, fence.epoch);
        return refused(PersistErrorKind::Fenced, operation, detail);
    }
    if record.state.is_terminal() {
        let detail = format!("turn {turn} has ended as {}", record.state.as_str());
        return refused(PersistErrorKind::IllegalState, operation, detail);
    }
    Ok(record)
}

/// Binds the first four parameters of every move: whose turn, which, and the epoch.
pub(crate) fn bind_fence<'q>(query: Bound<'q>, fence: &'q Fence) -> EngineResult<Bound<'q>> {
    Ok(query
        .bind(fence.scope.tenant.as_str())
        .bind(fence.turn.as_str())
        .bind(fence.scope.user.as_str())
        .bind(stored(fence.epoch)?))
}

/// Runs a move that answers whether it was made.
pub(crate) async fn is_made(session: &mut Session, query: Bound<'_>) -> EngineResult<bool> {
    Columns::of(&query.fetch_one(session.alone()).await?).flag()
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
