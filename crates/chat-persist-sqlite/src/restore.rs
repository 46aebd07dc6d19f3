//! Turns that ended in another store, and the scan of all turns.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::stored::{amounts_record, failure_record, kind_record};
use chat_persist::{PersistErrorKind, Result, TurnRecord};
use chat_types::{Scope, StepState, TenantId, Timestamp, TurnId};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::{page_rows, refused};
use crate::row::{Columns, encode, stored};
use crate::session::Session;
use crate::turns::{all_joined, turn_by_number, turn_query};
use crate::writer::Write;

const OPERATION: &str = "restore turns";

/// Writes ended turns, or nothing.
pub(crate) struct RestoreTurns {
    pub(crate) turns: Vec<(Scope, TurnRecord)>,
}

/// What is there for a turn to be restored, as numbers of rows.
struct Found {
    scope: Option<i64>,
    conversation: Option<i64>,
    turn: Option<i64>,
    is_keyed: bool,
}

/// A turn that is new, and where it goes.
struct New<'a> {
    scope: &'a Scope,
    record: &'a TurnRecord,
    scope_pk: i64,
    conversation_pk: i64,
}

#[derive(Serialize)]
struct NewStep {
    step: u32,
    purpose: &'static str,
    model: String,
    state: &'static str,
    attempts: u32,
    input_bound: i64,
    input_estimate: i64,
    opened_at: i64,
    tier: Option<String>,
    amounts: String,
    settling_since: Option<i64>,
}

#[async_trait]
impl Write for RestoreTurns {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let new = match self.check(connection).await? {
            Ok(new) => new,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for turn in new.values() {
            turn.write(connection).await?;
        }
        Ok(Ok(()))
    }
}

type NewTurns<'a> = BTreeMap<(&'a TenantId, &'a TurnId), New<'a>>;

impl RestoreTurns {
    /// The turns that are not there yet, after every rule has been checked.
    async fn check(&self, connection: &mut SqliteConnection) -> EngineResult<Result<NewTurns<'_>>> {
        let mut new = NewTurns::new();
        for (scope, record) in &self.turns {
            if let Err(refusal) = record.check_ended() {
                return Ok(Err(refusal));
            }
            let turn = &record.turn;
            let found = look(connection, scope, record).await?;
            let (Some(scope_pk), Some(conversation_pk)) = (found.scope, found.conversation) else {
                let detail = format!("there is no conversation {}", turn.conversation);
                return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
            };
            let is_same = match (found.turn, new.get(&(&scope.tenant, &turn.id))) {
                (Some(pk), _) => {
                    let (owner, there) = turn_by_number(connection, pk).await?;
                    Some(owner == *scope && there.is_same_end(record))
                }
                (None, Some(first)) => {
                    Some(first.scope == scope && first.record.is_same_end(record))
                }
                (None, None) => None,
            };
            match is_same {
                Some(true) => continue,
                Some(false) => {
                    let detail = format!("turn id {} is taken", turn.id);
                    return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
                }
                None => {}
            }
            let is_keyed = turn.idempotency_key.is_some()
                && new.values().any(|other| {
                    other.scope == scope
                        && other.record.turn.idempotency_key == turn.idempotency_key
                });
            if found.is_keyed || is_keyed {
                let detail = format!("the idempotency key of turn {} is taken", turn.id);
                return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
            }
            new.insert((&scope.tenant, &turn.id), New { scope, record, scope_pk, conversation_pk });
        }
        Ok(Ok(new))
    }
}

async fn look(
    connection: &mut SqliteConnection,
    scope: &Scope,
    record: &TurnRecord,
) -> EngineResult<Found> {
    let turn = &record.turn;
    let row = sqlx::query(
        "SELECT s.pk, c.pk, t.pk, k.pk IS NOT NULL FROM (SELECT 1)
           LEFT JOIN scopes s ON s.tenant = $1 AND s.user = $2
           LEFT JOIN conversations c ON c.scope = s.pk AND c.id = $3
           LEFT JOIN turns t ON t.tenant = $1 AND t.id = $4
           LEFT JOIN turns k ON k.scope = s.pk AND k.idempotency_key = $5",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(turn.conversation.as_str())
    .bind(turn.id.as_str())
    .bind(turn.idempotency_key.as_ref().map(|key| key.as_str()))
    .fetch_one(connection)
    .await?;
    let mut columns = Columns::of(&row);
    Ok(Found {
        scope: columns.optional_integer()?,
        conversation: columns.optional_integer()?,
        turn: columns.optional_integer()?,
        is_keyed: columns.flag()?,
    })
}

impl New<'_> {
    async fn write(&self, connection: &mut SqliteConnection) -> EngineResult<()> {
        let TurnRecord { turn, state, epoch, stop_requested, last_seq, .. } = self.record;
        let closed_at = self.record.closed_at.map(Timestamp::unix_ms);
        let failure = self.record.failure.as_ref().map(failure_record).transpose()?;
        let steps = self
            .record
            .steps
            .iter()
            .map(|step| {
                Ok(NewStep {
                    step: step.key.step,
                    purpose: step.purpose.as_str(),
                    model: step.model.to_string(),
                    state: step.state.as_str(),
                    attempts: step.attempts,
                    input_bound: stored(step.input_bound.get())?,
                    input_estimate: stored(step.input_estimate.get())?,
                    opened_at: step.opened_at.unix_ms(),
                    tier: step.tier.clone(),
                    amounts: amounts_record(&step.amounts)?,
                    settling_since: closed_at.filter(|_| step.state == StepState::Settling),
                })
            })
            .collect::<EngineResult<Vec<_>>>()?;
        sqlx::query(
            "INSERT INTO turns (scope, tenant, id, conversation, kind, user_message, reply, model,
                    first_owner, idempotency_key, request_hash, created_at, owner, state, epoch,
                    stop_requested, last_seq, failure, closed_at, log_expired)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $9, $13, $14, $15, $16,
                    $17, $18, 1);
             INSERT INTO steps (turn, step, purpose, model, state, attempts, input_bound,
                    input_estimate, opened_at, tier, amounts, settling_since)
                SELECT t.pk, value ->> 'step', value ->> 'purpose', value ->> 'model',
                    value ->> 'state', value ->> 'attempts', value ->> 'input_bound',
                    value ->> 'input_estimate', value ->> 'opened_at', value ->> 'tier',
                    value ->> 'amounts', value ->> 'settling_since'
                  FROM turns t CROSS JOIN json_each($19) WHERE t.tenant = $2 AND t.id = $3",
        )
        .bind(self.scope_pk)
        .bind(self.scope.tenant.as_str())
        .bind(turn.id.as_str())
        .bind(self.conversation_pk) // 4
        .bind(kind_record(&turn.kind)?)
        .bind(turn.user_message.as_str())
        .bind(turn.reply.as_str())
        .bind(turn.model.to_string()) // 8
        .bind(turn.owner.as_str())
        .bind(turn.idempotency_key.as_ref().map(|key| key.as_str()))
        .bind(turn.request_hash.as_str())
        .bind(turn.created_at.unix_ms()) // 12
        .bind(state.as_str())
        .bind(stored(*epoch)?)
        .bind(*stop_requested)
        .bind(stored(*last_seq)?) // 16
        .bind(failure)
        .bind(closed_at)
        .bind(encode(&steps)?)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Reads all turns of all scopes, page by page.
pub(crate) struct ScanTurns {
    pub(crate) after: Option<(TenantId, TurnId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanTurns {
    type Output = Vec<(Scope, TurnRecord)>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, id) =
            self.after.as_ref().map_or(("", ""), |(tenant, id)| (tenant.as_str(), id.as_str()));
        let rows = sqlx::query(turn_query!(
            "t.pk IN (SELECT pk FROM turns WHERE (tenant, id) > ($1, $2)
                ORDER BY tenant, id LIMIT $3)"
        ))
        .bind(tenant)
        .bind(id)
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        all_joined(&rows)
    }
}
