//! The end of a turn: reply, amounts, last events and state in one commit, won by one caller.
//!
//! One function of the schema checks every rule and writes, in one round trip; what it refuses is
//! read and checked here rule by rule.

use async_trait::async_trait;
use chat_persist::stored::{amounts_record, failure_record, message_record, token_counts_record};
use chat_persist::{Fence, PersistErrorKind, Result, StepClose, TurnClose, TurnRecord};
use chat_types::Message;

use crate::error::{EngineResult, Failure};
use crate::messages::{Earlier, write_summary};
use crate::refusal::refused;
use crate::row::{Bound, stored};
use crate::runner::Write;
use crate::session::Session;
use crate::steps::{check_close, closed_as};
use crate::turns::{bind_fence, fenced, follows, is_made, is_open, turn_at};

const OPERATION: &str = "close turn";

/// Ends a turn.
#[derive(Debug)]
pub(crate) struct CloseTurn {
    pub(crate) fence: Fence,
    pub(crate) close: TurnClose,
}

#[async_trait]
impl Write for CloseTurn {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        if self.close.state.is_terminal() {
            let reply = self.close.message.as_ref();
            let summary = reply.and_then(|reply| Some((reply, reply.summary.as_ref()?)));
            if summary.is_some() {
                // The function takes none: it is written behind it, in one commit.
                session.begin().await?;
            }
            let query = self.bind(sqlx::query(
                "SELECT close_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                    $15, $16, $17, $18, $19)",
            ))?;
            if is_made(session, query).await? {
                if let Some((Message { id, conversation, .. }, summary)) = summary {
                    let scope = &self.fence.scope;
                    let connection = session.alone();
                    write_summary(connection, scope, conversation, id, summary, Earlier::Stays)
                        .await?;
                }
                return Ok(Ok(()));
            }
        }
        if session.is_repeat() && self.has_won(session).await? {
            return Ok(Ok(()));
        }
        let turn = match fenced(session.alone(), &self.fence, OPERATION).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.check(&turn) {
            return Ok(Err(refusal));
        }
        if let Some(refusal) = self.check_reply(session, &turn).await? {
            return Ok(Err(refusal));
        }
        Err(Failure::overtaken())
    }
}

impl CloseTurn {
    /// Whether the turn ended just like this: then by an earlier run, whose answer was lost.
    async fn has_won(&self, session: &mut Session) -> EngineResult<bool> {
        let Fence { scope, turn, epoch } = &self.fence;
        let there = turn_at(session.alone(), &scope.tenant, turn).await?;
        Ok(there.is_some_and(|(owner, there)| {
            owner == *scope
                && there.epoch == *epoch
                && there.state == self.close.state
                && there.closed_at == Some(self.close.closed_at)
                && there.last_seq == self.close.segment.last_seq
        }))
    }

    fn check(&self, turn: &TurnRecord) -> Result<()> {
        let close = &self.close;
        if !close.state.is_terminal() {
            let detail = format!("{} is no end", close.state.as_str());
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        follows(&close.segment, turn.last_seq, OPERATION)?;
        for step in &close.steps {
            check_close(&turn.steps, step, OPERATION)?;
        }
        let forgotten = turn.steps.iter().find(|step| {
            is_open(step.state) && close.steps.iter().all(|named| named.step != step.key.step)
        });
        if let Some(step) = forgotten {
            let detail = format!("step {} is open and not named", step.key.step);
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        Ok(())
    }

    /// Why the message is not the reply of this turn, if so.
    async fn check_reply(
        &self,
        session: &mut Session,
        turn: &TurnRecord,
    ) -> EngineResult<Option<chat_persist::PersistError>> {
        let Some(message) = &self.close.message else {
            return Ok(None);
        };
        let turn = &turn.turn;
        let has_user_message = sqlx::query(
            "SELECT 1 FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $3",
        )
        .bind(self.fence.scope.tenant.as_str())
        .bind(self.fence.scope.user.as_str())
        .bind(turn.user_message.as_str())
        .fetch_optional(session.alone())
        .await?
        .is_some();
        let is_reply = message.id == turn.reply
            && message.conversation == turn.conversation
            && message.parent.as_ref() == Some(&turn.user_message)
            && has_user_message;
        if is_reply {
            return Ok(None);
        }
        let detail = format!("the message is not the reply of turn {}", self.fence.turn);
        Ok(Some(chat_persist::PersistError::new(PersistErrorKind::Conflict, OPERATION, detail)))
    }

    fn bind<'q>(&'q self, query: Bound<'q>) -> EngineResult<Bound<'q>> {
        let TurnClose { state, message, segment, failure, closed_at, steps } = &self.close;
        let reply = message.as_ref();
        let amounts = steps
            .iter()
            .map(|step| Ok(amounts_record(&step.amounts)?))
            .collect::<EngineResult<Vec<String>>>()?;
        let state_of = |step: &StepClose| closed_as(step).as_str();
        Ok(bind_fence(query, &self.fence)?
            .bind(stored(segment.first_seq)?) // 5
            .bind(stored(segment.last_seq)?)
            .bind(segment.payload.as_str())
            .bind(state.as_str())
            .bind(failure.as_ref().map(failure_record).transpose()?)
            .bind(closed_at.unix_ms()) // 10
            .bind(steps.iter().map(|step| i64::from(step.step)).collect::<Vec<i64>>())
            .bind(steps.iter().map(state_of).collect::<Vec<&str>>())
            .bind(amounts)
            .bind(reply.map(|reply| reply.id.as_str()))
            .bind(reply.map(|reply| reply.conversation.as_str())) // 15
            .bind(reply.and_then(|reply| reply.parent.as_ref().map(|parent| parent.as_str())))
            .bind(reply.map(|reply| reply.role.as_str()))
            .bind(reply.map(message_record).transpose()?)
            .bind(reply.map(|reply| token_counts_record(&reply.token_counts)).transpose()?))
    }
}
