//! The end of a turn: reply, amounts, last events and state in one commit, won by one caller.
//!
//! One program checks the plain case and writes it; any other is read and checked rule by rule.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::stored::{
    amounts_of, amounts_record, failure_record, message_record, summary_record, token_counts_record,
};
use chat_persist::{AttemptAmount, Fence, PersistErrorKind, Result, TurnClose};
use chat_types::{ConversationId, MessageId, StepState};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::error::{EngineResult, Failure};
use crate::refusal::refused;
use crate::row::{Columns, encode, stored};
use crate::session::{Bound, Session, fused, guard};
use crate::steps::{check_close, closed_as};
use crate::turns::{
    FENCED_COLUMNS, Fenced, bind_fence, fence_holds, fenced, fenced_columns, follows, is_open,
};
use crate::writer::Write;

const OPERATION: &str = "close turn";

/// Ends the turn if every rule holds in the plainest way: all its open steps are named, and no
/// other. `$10` are the steps, `$12` says that there is no reply.
macro_rules! end_if_plain {
    () => {
        concat!(
            "UPDATE turns AS t SET state = $7, failure = $8, closed_at = $9, last_seq = $6
               FROM scopes s, conversations c
              WHERE ",
            fence_holds!(),
            " AND t.last_seq + 1 = $5 AND c.pk = t.conversation
                AND ($12 OR (t.reply = $13 AND t.user_message = $14 AND c.id = $11 AND EXISTS
                    (SELECT 1 FROM messages m WHERE m.scope = t.scope AND m.id = t.user_message)))
                AND (SELECT count(*) FROM steps p WHERE p.turn = t.pk
                        AND p.state IN ('held', 'dispatched', 'streaming'))
                    = json_array_length($10)
                AND (SELECT count(*) FROM json_each($10) new CROSS JOIN steps p
                      WHERE p.turn = t.pk AND p.step = new.value ->> 'step'
                        AND p.state IN ('held', 'dispatched', 'streaming'))
                    = json_array_length($10)",
            guard!(),
            "; "
        )
    };
}

/// Ends a turn that was checked before.
macro_rules! end_checked {
    () => {
        "UPDATE turns SET state = $7, failure = $8, closed_at = $9, last_seq = $6
          WHERE tenant = $1 AND id = $2; "
    };
}

/// Everything else but the reply. A head that was moved meanwhile stays.
macro_rules! program {
    () => {
        "UPDATE steps SET state = new.value ->> 'state', amounts = new.value ->> 'amounts',
                settling_since = CASE new.value ->> 'state' WHEN 'settling' THEN $9 END
           FROM json_each($10) AS new
          WHERE steps.turn = (SELECT pk FROM turns WHERE tenant = $1 AND id = $2)
            AND steps.step = new.value ->> 'step'
            AND steps.state IN ('held', 'dispatched', 'streaming');
         INSERT INTO event_segments (turn, first_seq, last_seq, payload)
            SELECT pk, $5, $6, $15 FROM turns WHERE tenant = $1 AND id = $2;
         UPDATE conversations SET updated_at = $9,
                head = CASE WHEN head = t.reply AND $12 THEN t.user_message ELSE head END
           FROM turns t
          WHERE t.tenant = $1 AND t.id = $2 AND conversations.pk = t.conversation;"
    };
}

macro_rules! reply_program {
    () => {
        "INSERT INTO messages (scope, conversation, id, parent, role, record, token_counts, summary)
            SELECT t.scope, t.conversation, t.reply, m.pk, $16, $17, $18, $19
              FROM turns t JOIN messages m ON m.scope = t.scope AND m.id = t.user_message
             WHERE t.tenant = $1 AND t.id = $2;"
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
    conversation: ConversationId,
    user_message: MessageId,
    reply: MessageId,
    has_user_message: bool,
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
        if self.close.state.is_terminal()
            && self.close.segment.first_seq <= self.close.segment.last_seq
        {
            let program = match self.close.message {
                Some(_) => fused!(end_if_plain!(), program!(), reply_program!()),
                None => fused!(end_if_plain!(), program!()),
            };
            let steps = self.steps()?;
            let query = self.bind(sqlx::query(session.last(&program)), &steps)?;
            if session.attempt(query).await?.is_some() {
                return Ok(Ok(()));
            }
        }
        let query = sqlx::query(session.first(&fused!(
            "SELECT ",
            fenced_columns!(),
            ", c.id, t.user_message, t.reply, m.pk IS NOT NULL, p.step, p.state, p.amounts
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
        let program = match self.close.message {
            Some(_) => fused!(end_checked!(), program!(), reply_program!()),
            None => fused!(end_checked!(), program!()),
        };
        let steps = self.steps()?;
        let query = self.bind(sqlx::query(session.last(&program)), &steps)?;
        session.save(query).await?;
        Ok(Ok(()))
    }
}

fn running(turn: Fenced, rows: &[SqliteRow]) -> EngineResult<Running> {
    let first = rows.first().ok_or_else(|| Failure::corrupt("a turn has no row"))?;
    let mut columns = Columns::from(first, FENCED_COLUMNS);
    let mut running = Running {
        turn,
        conversation: columns.parsed()?,
        user_message: columns.parsed()?,
        reply: columns.parsed()?,
        has_user_message: columns.flag()?,
        steps: BTreeMap::new(),
    };
    for row in rows {
        let mut columns = Columns::from(row, FENCED_COLUMNS.saturating_add(4));
        let Some(step) = columns.optional_integer()? else {
            continue;
        };
        let step = u32::try_from(step).map_err(|_| Failure::corrupt("a step has no number"))?;
        let state = columns.named(StepState::from_stored)?;
        running.steps.insert(step, (state, amounts_of(columns.text()?)?));
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
                && message.conversation == running.conversation
                && message.parent.as_ref() == Some(&running.user_message)
                && running.has_user_message
        });
        if !is_reply {
            let detail = format!("the message is not the reply of turn {}", self.fence.turn);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        Ok(())
    }

    /// How the named steps end, as the program takes them.
    fn steps(&self) -> EngineResult<String> {
        let ends = self
            .close
            .steps
            .iter()
            .map(|step| {
                Ok(StepEnd {
                    step: step.step,
                    state: closed_as(step).as_str(),
                    amounts: amounts_record(&step.amounts)?,
                })
            })
            .collect::<EngineResult<Vec<_>>>()?;
        encode(&ends)
    }

    fn bind<'q>(&'q self, query: Bound<'q>, steps: &'q str) -> EngineResult<Bound<'q>> {
        let TurnClose { state, message, segment, failure, closed_at, .. } = &self.close;
        let reply = message.as_ref();
        let query = bind_fence(query, &self.fence)?
            .bind(stored(segment.first_seq)?) // 5
            .bind(stored(segment.last_seq)?)
            .bind(state.as_str())
            .bind(failure.as_ref().map(failure_record).transpose()?)
            .bind(closed_at.unix_ms())
            .bind(steps) // 10
            .bind(reply.map(|reply| reply.conversation.as_str()))
            .bind(reply.is_none())
            .bind(reply.map(|reply| reply.id.as_str()))
            .bind(reply.and_then(|reply| reply.parent.as_ref().map(|parent| parent.as_str())))
            .bind(segment.payload.as_str()); // 15
        Ok(match reply {
            Some(reply) => query
                .bind(reply.role.as_str())
                .bind(message_record(reply)?)
                .bind(token_counts_record(&reply.token_counts)?)
                .bind(reply.summary.as_ref().map(summary_record).transpose()?),
            None => query,
        })
    }
}
