//! Turns that ended in another store, and the scan of all turns.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::stored::{amounts_record, failure_record, kind_record};
use chat_persist::{PersistErrorKind, Result, StepRecord, TurnRecord};
use chat_types::{Scope, StepState, TenantId, Timestamp, Tokens, TurnId};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::escape::escape;
use crate::refusal::{page_rows, refused};
use crate::row::{Columns, stored};
use crate::runner::{Read, Write};
use crate::session::Session;
use crate::turns::{all_joined, turn_at, turn_query};

const OPERATION: &str = "restore turns";

/// Writes ended turns, or nothing.
#[derive(Debug)]
pub(crate) struct RestoreTurns {
    pub(crate) turns: Vec<(Scope, TurnRecord)>,
}

/// What is there for a turn to be restored.
struct Found {
    has_conversation: bool,
    has_turn: bool,
    is_keyed: bool,
}

type NewTurns<'a> = BTreeMap<(&'a TenantId, &'a TurnId), (&'a Scope, &'a TurnRecord)>;

#[async_trait]
impl Write for RestoreTurns {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        let new = match self.check(connection).await? {
            Ok(new) => new,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for (scope, record) in new.values() {
            insert(connection, scope, record).await?;
        }
        Ok(Ok(()))
    }
}

impl RestoreTurns {
    /// The turns that are not there yet, after every rule has been checked.
    async fn check(&self, connection: &mut PgConnection) -> EngineResult<Result<NewTurns<'_>>> {
        let mut new = NewTurns::new();
        for (scope, record) in &self.turns {
            if let Err(refusal) = record.check_ended() {
                return Ok(Err(refusal));
            }
            let turn = &record.turn;
            let found = look(connection, scope, record).await?;
            if !found.has_conversation {
                let detail = format!("there is no conversation {}", turn.conversation);
                return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
            }
            let arriving = new.get(&(&scope.tenant, &turn.id));
            let is_same = match (found.has_turn, arriving) {
                (true, _) => turn_at(connection, &scope.tenant, &turn.id)
                    .await?
                    .map(|(owner, there)| owner == *scope && there.is_same_end(record)),
                (false, Some((owner, first))) => Some(*owner == scope && first.is_same_end(record)),
                (false, None) => None,
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
                && new.values().any(|(owner, other)| {
                    *owner == scope && other.turn.idempotency_key == turn.idempotency_key
                });
            if found.is_keyed || is_keyed {
                let detail = format!("the idempotency key of turn {} is taken", turn.id);
                return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
            }
            new.insert((&scope.tenant, &turn.id), (scope, record));
        }
        Ok(Ok(new))
    }
}

async fn look(
    connection: &mut PgConnection,
    scope: &Scope,
    record: &TurnRecord,
) -> EngineResult<Found> {
    let turn = &record.turn;
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = $1 AND c.user_id = $2
                    AND c.id = $3),
                EXISTS (SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.id = $4),
                EXISTS (SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.user_id = $2
                    AND t.idempotency_key = $5)",
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
        has_conversation: columns.flag()?,
        has_turn: columns.flag()?,
        is_keyed: columns.flag()?,
    })
}

async fn insert(
    connection: &mut PgConnection,
    scope: &Scope,
    record: &TurnRecord,
) -> EngineResult<()> {
    let TurnRecord { turn, steps, .. } = record;
    let closed_at = record.closed_at.map(Timestamp::unix_ms);
    let counts = |count: fn(&StepRecord) -> Tokens| {
        steps.iter().map(|step| stored(count(step).get())).collect::<EngineResult<Vec<i64>>>()
    };
    let amounts = steps
        .iter()
        .map(|step| Ok(amounts_record(&step.amounts)?))
        .collect::<EngineResult<Vec<String>>>()?;
    let settling_since =
        |step: &StepRecord| closed_at.filter(|_| step.state == StepState::Settling);
    sqlx::query(
        "WITH turn AS (
            INSERT INTO turns (tenant, id, user_id, conversation, kind, user_message, reply, model,
                    first_owner, idempotency_key, request_hash, created_at, owner, state, epoch,
                    stop_requested, last_seq, failure, closed_at, log_expired)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $9, $13, $14, $15, $16,
                    $17, $18, TRUE))
         INSERT INTO steps (tenant, turn, step, purpose, model, state, attempts, input_bound,
                input_estimate, opened_at, tier, amounts, settling_since)
            SELECT $1, $2, new.step, new.purpose, new.model, new.state, new.attempts,
                new.input_bound, new.input_estimate, new.opened_at, new.tier,
                new.amounts, new.settling_since
              FROM unnest($19::BIGINT[], $20::TEXT[], $21::TEXT[], $22::TEXT[], $23::BIGINT[],
                $24::BIGINT[], $25::BIGINT[], $26::BIGINT[], $27::TEXT[], $28::TEXT[],
                $29::BIGINT[])
                AS new (step, purpose, model, state, attempts, input_bound, input_estimate,
                    opened_at, tier, amounts, settling_since)",
    )
    .bind(scope.tenant.as_str()) // 1
    .bind(turn.id.as_str())
    .bind(scope.user.as_str())
    .bind(turn.conversation.as_str())
    .bind(kind_record(&turn.kind)?) // 5
    .bind(turn.user_message.as_str())
    .bind(turn.reply.as_str())
    .bind(turn.model.to_string())
    .bind(turn.owner.as_str())
    .bind(turn.idempotency_key.as_ref().map(|key| key.as_str())) // 10
    .bind(escape(&turn.request_hash))
    .bind(turn.created_at.unix_ms())
    .bind(record.state.as_str())
    .bind(stored(record.epoch)?)
    .bind(record.stop_requested) // 15
    .bind(stored(record.last_seq)?)
    .bind(record.failure.as_ref().map(failure_record).transpose()?)
    .bind(closed_at)
    .bind(steps.iter().map(|step| i64::from(step.key.step)).collect::<Vec<i64>>())
    .bind(steps.iter().map(|step| step.purpose.as_str()).collect::<Vec<&str>>()) // 20
    .bind(steps.iter().map(|step| step.model.to_string()).collect::<Vec<String>>())
    .bind(steps.iter().map(|step| step.state.as_str()).collect::<Vec<&str>>())
    .bind(steps.iter().map(|step| i64::from(step.attempts)).collect::<Vec<i64>>())
    .bind(counts(|step| step.input_bound)?)
    .bind(counts(|step| step.input_estimate)?) // 25
    .bind(steps.iter().map(|step| step.opened_at.unix_ms()).collect::<Vec<i64>>())
    .bind(steps.iter().map(|step| step.tier.as_deref().map(escape)).collect::<Vec<_>>())
    .bind(amounts)
    .bind(steps.iter().map(settling_since).collect::<Vec<Option<i64>>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads all turns of all scopes, page by page.
#[derive(Debug)]
pub(crate) struct ScanTurns {
    pub(crate) after: Option<(TenantId, TurnId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanTurns {
    type Output = Vec<(Scope, TurnRecord)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, id) =
            self.after.as_ref().map_or(("", ""), |(tenant, id)| (tenant.as_str(), id.as_str()));
        let rows = sqlx::query(turn_query!(
            "(SELECT * FROM turns WHERE (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT $3) t",
            "t.tenant, t.id, p.step"
        ))
        .bind(tenant)
        .bind(id)
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        all_joined(&rows)
    }
}
