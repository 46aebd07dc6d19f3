//! The end of a turn: reply, amounts, last events and state in one commit, won by one caller.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::{AttemptAmount, Fence, PersistErrorKind, Result, TurnClose};
use chat_types::{ConversationId, MessageId, StepState};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::error::{EngineResult, Failure};
use crate::record::{
    amounts_of, amounts_record, failure_record, message_record, role_name, token_counts_record,
};
use crate::refusal::refused;
use crate::row::{Columns, encode, stored};
use crate::session::{Session, fused};
use crate::steps::{check_close, closed_as};
use crate::turns::{FENCED_COLUMNS, Fenced, fenced, fenced_columns, follows, is_open};
use crate::writer::Write;

const OPERATION: &str = "close turn";

/// Everything but the reply. A head that was moved meanwhile stays.
macro_rules! program {
    () => {
        "UPDATE steps SET state = new.value ->> 'state', amounts = new.value ->> 'amounts',
                settling_since = CASE new.value ->> 'state' WHEN 'settling' THEN $2 END
           FROM json_each($3) AS new
          WHERE steps.turn = $1 AND steps.step = new.value ->> 'step'
            AND steps.state IN ('held', 'dispatched', 'streaming');
         INSERT INTO event_segments (turn, first_seq, last_seq, payload) VALUES ($1, $4, $5, $6);
         UPDATE turns SET state = $7, failure = $8, closed_at = $2, last_seq = $5 WHERE pk = $1;
         UPDATE conversations SET updated_at = $2,
                head = CASE WHEN head = $10 AND $12 THEN $11 ELSE head END
          WHERE pk = $9;"
    };
}

macro_rules! reply_program {
    () => {
        "INSERT INTO messages (scope, conversation, id, parent, role, record, token_counts)
            VALUES ($13, $9, $10, $14, $15, $16, $17);"
    };
}

/// Ends a turn.
#[derive(Debug)]
pub(crate) struct CloseTurn {
    pub(crate) fence: Fence,
    pub(crate) close: TurnClose,
}

/// The turn as it stands before it ends.
struct Running {
    turn: Fenced,
    conversation: i64,
    conversation_id: ConversationId,
    user_message: MessageId,
    reply: MessageId,
    scope: i64,
    parent: Option<i64>,
    steps: BTreeMap<u32, (StepState, Vec<AttemptAmount>)>,
}

/// How one step ends, as the program takes it.
#[derive(Serialize)]
struct StepEnd {
    step: u32,
    state: &'static str,
    amounts: String,
}

#[async_trait]
impl Write for CloseTurn {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let query = sqlx::query(session.first(&fused!(
            "SELECT ",
            fenced_columns!(),
            ", t.conversation, c.id, t.user_message, t.reply, t.scope, m.pk,
               p.step, p.state, p.amounts
              FROM turns t JOIN scopes s ON s.pk = t.scope
              JOIN conversations c ON c.pk = t.conversation
              LEFT JOIN messages m ON m.scope = t.scope AND m.id = t.user_message
              LEFT JOIN steps p ON p.turn = t.pk
             WHERE t.tenant = $1 AND t.id = $2"
        )))
        .bind(self.fence.scope.tenant.as_str())
        .bind(self.fence.turn.as_str());
        let rows = session.load(query).await?;
        let turn = match fenced(rows.first(), &self.fence, OPERATION)? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let running = running(turn, &rows)?;
        if let Err(refusal) = self.check(&running) {
            return Ok(Err(refusal));
        }
        self.write(session, &running).await?;
        Ok(Ok(()))
    }
}

fn running(turn: Fenced, rows: &[SqliteRow]) -> EngineResult<Running> {
    let first = rows
        .first()
        .ok_or_else(|| Failure::corrupt("a turn has no row"))?;
    let mut columns = Columns::from(first, FENCED_COLUMNS);
    let mut running = Running {
        turn,
        conversation: columns.integer()?,
        conversation_id: columns.parsed()?,
        user_message: columns.parsed()?,
        reply: columns.parsed()?,
        scope: columns.integer()?,
        parent: columns.optional_integer()?,
        steps: BTreeMap::new(),
    };
    for row in rows {
        let mut columns = Columns::from(row, FENCED_COLUMNS.saturating_add(6));
        let Some(step) = columns.optional_integer()? else {
            continue;
        };
        let step = u32::try_from(step).map_err(|_| Failure::corrupt("a step has no number"))?;
        let state = columns.named(StepState::from_stored)?;
        running
            .steps
            .insert(step, (state, amounts_of(columns.text()?)?));
    }
    Ok(running)
}

impl CloseTurn {
    fn check(&self, running: &Running) -> Result<()> {
        let close = &self.close;
        if !close.state.is_terminal() {
            let detail = format!("{} is no end", close.state.as_str());
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        follows(&close.segment, running.turn.last_seq, OPERATION)?;
        for step in &close.steps {
            check_close(running.steps.get(&step.step), step, OPERATION)?;
        }
        let forgotten = running.steps.iter().find(|(number, (state, _))| {
            is_open(*state) && close.steps.iter().all(|named| named.step != **number)
        });
        if let Some((number, _)) = forgotten {
            let detail = format!("step {number} is open and not named");
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        let is_reply = close.message.as_ref().is_none_or(|message| {
            message.id == running.reply
                && message.conversation == running.conversation_id
                && message.parent.as_ref() == Some(&running.user_message)
                && running.parent.is_some()
        });
        if !is_reply {
            let detail = format!("the message is not the reply of turn {}", self.fence.turn);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        Ok(())
    }

    async fn write(&self, session: &mut Session<'_>, running: &Running) -> EngineResult<()> {
        let TurnClose {
            state,
            message,
            steps,
            segment,
            failure,
            closed_at,
        } = &self.close;
        let ends = steps
            .iter()
            .map(|step| {
                Ok(StepEnd {
                    step: step.step,
                    state: closed_as(step).as_str(),
                    amounts: amounts_record(&step.amounts)?,
                })
            })
            .collect::<EngineResult<Vec<_>>>()?;
        let program = match message {
            Some(_) => fused!(program!(), reply_program!()),
            None => fused!(program!()),
        };
        let query = sqlx::query(session.last(&program))
            .bind(running.turn.pk) // 1
            .bind(closed_at.unix_ms())
            .bind(encode(&ends)?)
            .bind(stored(segment.first_seq)?) // 4
            .bind(stored(segment.last_seq)?)
            .bind(segment.payload.as_str())
            .bind(state.as_str()) // 7
            .bind(failure.as_ref().map(failure_record).transpose()?)
            .bind(running.conversation)
            .bind(running.reply.as_str()) // 10
            .bind(running.user_message.as_str())
            .bind(message.is_none());
        let query = match message {
            Some(message) => query
                .bind(running.scope) // 13
                .bind(running.parent)
                .bind(role_name(message.role))
                .bind(message_record(message)?)
                .bind(token_counts_record(&message.token_counts)?),
            None => query,
        };
        session.save(query).await
    }
}
