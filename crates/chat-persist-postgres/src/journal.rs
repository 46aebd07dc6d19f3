//! Accepting a turn: conversation, user message, turn row, key and first events in one commit.
//!
//! One function of the schema checks and writes, in one round trip. What it refuses is read and
//! explained here.

use async_trait::async_trait;
use chat_persist::stored::{kind_record, message_record, options_record, token_counts_record};
use chat_persist::{Accept, Accepted, PersistErrorKind, Result, TurnRecord};
use chat_types::{MessageId, Scope};
use sqlx::PgConnection;

use crate::error::{EngineResult, Failure};
use crate::escape::escape;
use crate::messages::{Earlier, write_summary};
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::runner::Write;
use crate::session::Session;
use crate::turns::{follows, turn_at, turn_of_key};

const OPERATION: &str = "accept turn";

/// Makes a turn durable.
#[derive(Debug)]
pub(crate) struct AcceptTurn {
    pub(crate) scope: Scope,
    pub(crate) accept: Accept,
}

#[async_trait]
impl Write for AcceptTurn {
    type Output = Result<Accepted>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let is_repeat = session.is_repeat();
        let summary = self.accept.user_message.as_ref().and_then(|asked| asked.summary.as_ref());
        let connection = match summary {
            // The function takes none: it is written behind it, in one commit.
            Some(_) => session.begin().await?,
            None => session.alone(),
        };
        if let Err(refusal) = self.check() {
            // A repeated call is answered like the first, whatever else is wrong with it.
            let earlier = self.earlier(connection, is_repeat).await?;
            return Ok(earlier.unwrap_or(Err(refusal)));
        }
        let outcome = self.write(connection).await?;
        if outcome == "new" {
            if let Some(summary) = summary {
                let Accept { turn, .. } = &self.accept;
                let (conversation, asked) = (&turn.conversation, &turn.user_message);
                write_summary(
                    connection,
                    &self.scope,
                    conversation,
                    asked,
                    summary,
                    Earlier::Stays,
                )
                .await?;
            }
            return Ok(Ok(Accepted::New));
        }
        if matches!(outcome.as_str(), "key" | "turn") {
            // Not there any more: its conversation was deleted meanwhile.
            let earlier = self.earlier(connection, is_repeat).await?;
            return earlier.ok_or_else(Failure::overtaken);
        }
        self.refusal(&outcome).map(Err)
    }
}

impl AcceptTurn {
    fn parent(&self) -> Option<&MessageId> {
        self.accept.user_message.as_ref()?.parent.as_ref()
    }

    /// The rules of a new turn that need no look at what is stored.
    fn check(&self) -> Result<()> {
        let turn = &self.accept.turn;
        let is_consistent = self.accept.conversation.id == turn.conversation
            && turn.reply != turn.user_message
            && self.accept.user_message.as_ref().is_none_or(|message| {
                message.conversation == turn.conversation && message.id == turn.user_message
            });
        if !is_consistent {
            let detail = format!("the ids of turn {} do not fit together", turn.id);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        follows(&self.accept.segment, 0, OPERATION)
    }

    /// The turn that an earlier, equal request made: by its key, or by being the very same turn.
    async fn earlier(
        &self,
        connection: &mut PgConnection,
        is_repeat: bool,
    ) -> EngineResult<Option<Result<Accepted>>> {
        let turn = &self.accept.turn;
        let answer = |scope: &Scope, record: TurnRecord| {
            // This very call has written it, and the server's answer was lost.
            if is_repeat && *scope == self.scope && record.turn == *turn {
                return Ok(Accepted::New);
            }
            Ok(Accepted::Existing(Box::new(record)))
        };
        if let Some(key) = &turn.idempotency_key
            && let Some((scope, record)) = turn_of_key(connection, &self.scope, key).await?
        {
            if record.turn.request_hash == turn.request_hash {
                return Ok(Some(answer(&scope, record)));
            }
            let detail = "the idempotency key stands for another request";
            return Ok(Some(refused(PersistErrorKind::IdempotencyConflict, OPERATION, detail)));
        }
        let Some((scope, record)) = turn_at(connection, &self.scope.tenant, &turn.id).await? else {
            return Ok(None);
        };
        if scope == self.scope && record.turn == *turn {
            return Ok(Some(answer(&scope, record)));
        }
        let detail = format!("turn id {} is taken", turn.id);
        Ok(Some(refused(PersistErrorKind::Conflict, OPERATION, detail)))
    }

    /// What the function says, in the words of the port.
    fn refusal(&self, outcome: &str) -> EngineResult<chat_persist::PersistError> {
        let turn = &self.accept.turn;
        let taken = |id: &MessageId| format!("message id {id} is taken");
        let parent = self.parent().map_or("", |parent| parent.as_str());
        let (kind, detail) = match outcome {
            "no_user_message" => (
                PersistErrorKind::NotFound,
                format!(
                    "there is no user message {} in conversation {}",
                    turn.user_message, turn.conversation
                ),
            ),
            "parent_unfinished" => (
                PersistErrorKind::ParentUnfinished,
                format!("message {parent} is still being written"),
            ),
            "parent_missing" => (
                PersistErrorKind::ParentMissing,
                format!("message {parent} is not in conversation {}", turn.conversation),
            ),
            "user_message_taken" => (PersistErrorKind::Conflict, taken(&turn.user_message)),
            "reply_taken" => (PersistErrorKind::Conflict, taken(&turn.reply)),
            _ => return Err(Failure::corrupt("the schema's function accept_turn is another one")),
        };
        Ok(chat_persist::PersistError::new(kind, OPERATION, detail))
    }

    async fn write(&self, connection: &mut PgConnection) -> EngineResult<String> {
        let Accept { conversation, user_message, turn, segment } = &self.accept;
        let message = user_message.as_ref();
        let row = sqlx::query(
            "SELECT accept_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)",
        )
        .bind(self.scope.tenant.as_str()) // 1
        .bind(self.scope.user.as_str())
        .bind(conversation.id.as_str())
        .bind(escape(&conversation.title))
        .bind(conversation.created_at.unix_ms()) // 5
        .bind(conversation.model.as_ref().map(ToString::to_string))
        .bind(conversation.instructions.as_deref().map(escape))
        .bind(options_record(&conversation.options)?)
        .bind(conversation.archived)
        .bind(conversation.expires_at.map(chat_types::Timestamp::unix_ms)) // 10
        .bind(turn.id.as_str())
        .bind(kind_record(&turn.kind)?)
        .bind(turn.user_message.as_str())
        .bind(turn.reply.as_str())
        .bind(turn.model.to_string()) // 15
        .bind(turn.owner.as_str())
        .bind(turn.idempotency_key.as_ref().map(|key| key.as_str()))
        .bind(escape(&turn.request_hash))
        .bind(turn.created_at.unix_ms())
        .bind(stored(segment.first_seq)?) // 20
        .bind(stored(segment.last_seq)?)
        .bind(segment.payload.as_str())
        .bind(message.is_some())
        .bind(self.parent().map(|parent| parent.as_str()))
        .bind(message.map(|message| message.role.as_str())) // 25
        .bind(message.map(message_record).transpose()?)
        .bind(message.map(|message| token_counts_record(&message.token_counts)).transpose()?)
        .fetch_one(connection)
        .await?;
        Ok(Columns::of(&row).text()?.to_owned())
    }
}
