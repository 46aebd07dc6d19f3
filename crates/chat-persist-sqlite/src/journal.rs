//! Accepting a turn: conversation, user message, turn row, key and first events in one commit.
//!
//! One program checks and writes a new message's turn. If it does not fit, and for a turn without
//! a new message, one query looks at everything a refusal can depend on before a program writes.

use async_trait::async_trait;
use chat_persist::stored::{
    kind_record, message_record, options_record, summary_record, token_counts_record,
};
use chat_persist::{Accept, Accepted, PersistErrorKind, Result};
use chat_types::{MessageId, Scope};
use sqlx::SqliteConnection;

use crate::error::{EngineResult, Failure};
use crate::refusal::refused;
use crate::row::{Columns, stored};
use crate::session::{Bound, Session, fused};
use crate::turns::{follows, turn_by_number};
use crate::writer::Write;

const OPERATION: &str = "accept turn";

/// Ends the program unless the turn is new, its ids are free and its parent is there.
macro_rules! guard_new {
    () => {
        "INSERT INTO misses SELECT NULL WHERE EXISTS
            (SELECT 1 FROM turns WHERE tenant = $1 AND id = $12)
         OR EXISTS (SELECT 1 FROM scopes s JOIN turns k ON k.scope = s.pk
             WHERE s.tenant = $1 AND s.user = $2 AND k.idempotency_key = $17)
         OR EXISTS (SELECT 1 FROM scopes s JOIN messages m ON m.scope = s.pk
             WHERE s.tenant = $1 AND s.user = $2 AND m.id IN ($14, $6))
         OR EXISTS (SELECT 1 FROM scopes s JOIN turns w ON w.scope = s.pk
             WHERE s.tenant = $1 AND s.user = $2 AND w.reply IN ($14, $6)
               AND w.closed_at IS NULL)
         OR ($22 IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM scopes s JOIN messages m ON m.scope = s.pk AND m.id = $22
               JOIN conversations c ON c.pk = m.conversation AND c.id = $3
              WHERE s.tenant = $1 AND s.user = $2)); "
    };
}

/// The number of the scope.
macro_rules! scope_pk {
    () => {
        "(SELECT pk FROM scopes WHERE tenant = $1 AND user = $2)"
    };
}

/// The scope and the conversation of the turn, as `c`.
macro_rules! conversation {
    () => {
        "scopes s JOIN conversations c ON c.scope = s.pk AND c.id = $3
          WHERE s.tenant = $1 AND s.user = $2"
    };
}

/// Everything but a new user message. Numbered parameters are shared by all statements.
macro_rules! program {
    () => {
        concat!(
            "INSERT INTO scopes (tenant, user) VALUES ($1, $2) ON CONFLICT DO NOTHING;
             INSERT INTO conversations (scope, id, title, created_at, updated_at, head, model,
                    instructions, options, archived, expires_at)
                VALUES (",
            scope_pk!(),
            ", $3, $4, $5, $7, $6, $8, $9, $10, $11, $21)
                ON CONFLICT (scope, id) DO UPDATE SET head = $6, updated_at = $7;
             INSERT INTO turns (scope, tenant, id, conversation, kind, user_message, reply, model,
                    first_owner, idempotency_key, request_hash, created_at, owner, state, epoch,
                    last_seq)
                SELECT s.pk, $1, $12, c.pk, $13, $14, $6, $15, $16, $17, $18, $7, $16,
                    'accepted', 1, $20 FROM ",
            conversation!(),
            "; INSERT INTO event_segments (turn, first_seq, last_seq, payload)
                SELECT pk, $19, $20, $23 FROM turns WHERE tenant = $1 AND id = $12;"
        )
    };
}

macro_rules! message_program {
    () => {
        concat!(
            "INSERT INTO messages (scope, conversation, id, parent, role, record, token_counts,
                    summary)
                SELECT s.pk, c.pk, $14,
                    (SELECT pk FROM messages p WHERE p.scope = s.pk AND p.id = $22),
                    $24, $25, $26, $27 FROM ",
            conversation!()
        )
    };
}

/// Makes a turn durable.
#[derive(Debug)]
pub(crate) struct AcceptTurn {
    pub(crate) scope: Scope,
    pub(crate) accept: Accept,
}

/// What is there already, as numbers of rows.
struct Found {
    conversation: Option<i64>,
    turn_of_key: Option<i64>,
    turn_of_id: Option<i64>,
    user_message: Place,
    parent: Place,
    reply: Place,
    is_user: bool,
}

/// Where an id is in use within the scope: by a message, by a reply being written, or not.
struct Place {
    message: Option<i64>,
    conversation: Option<i64>,
    unfinished_in: Option<i64>,
}

impl Place {
    fn read(columns: &mut Columns<'_>) -> EngineResult<Self> {
        Ok(Self {
            message: columns.optional_integer()?,
            conversation: columns.optional_integer()?,
            unfinished_in: columns.optional_integer()?,
        })
    }

    /// The message's number if it is in `conversation`.
    fn within(&self, conversation: Option<i64>) -> Option<i64> {
        self.message.filter(|_| conversation.is_some() && self.conversation == conversation)
    }

    fn is_free(&self) -> bool {
        self.message.is_none() && self.unfinished_in.is_none()
    }
}

#[async_trait]
impl Write for AcceptTurn {
    type Output = Result<Accepted>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        if self.accept.user_message.is_some()
            && self.is_consistent()
            && follows(&self.accept.segment, 0, OPERATION).is_ok()
        {
            let program = fused!(guard_new!(), program!(), message_program!());
            let query = self.bind(sqlx::query(session.last(&program)))?;
            if session.attempt(query).await?.is_some() {
                return Ok(Ok(Accepted::New));
            }
        }
        let found = self.look(session).await?;
        if let Some(pk) = found.turn_of_key.or(found.turn_of_id) {
            let by_key = found.turn_of_key.is_some();
            return self.earlier(session.connection().await?, pk, by_key).await;
        }
        if let Err(refusal) = self.check(&found) {
            return Ok(Err(refusal));
        }
        self.write(session).await?;
        Ok(Ok(Accepted::New))
    }
}

impl AcceptTurn {
    fn parent(&self) -> Option<&MessageId> {
        self.accept.user_message.as_ref()?.parent.as_ref()
    }

    fn is_consistent(&self) -> bool {
        let turn = &self.accept.turn;
        self.accept.conversation.id == turn.conversation
            && turn.reply != turn.user_message
            && self.accept.user_message.as_ref().is_none_or(|message| {
                message.conversation == turn.conversation && message.id == turn.user_message
            })
    }

    async fn look(&self, session: &mut Session<'_>) -> EngineResult<Found> {
        let turn = &self.accept.turn;
        let query = sqlx::query(session.first(&fused!(
            "SELECT c.pk, k.pk, t.pk,
                    m.pk, m.conversation, mw.conversation,
                    p.pk, p.conversation, pw.conversation,
                    r.pk, r.conversation, rw.conversation,
                    coalesce(m.role = 'user', 0)
               FROM (SELECT 1)
               LEFT JOIN scopes s ON s.tenant = $1 AND s.user = $2
               LEFT JOIN conversations c ON c.scope = s.pk AND c.id = $3
               LEFT JOIN turns k ON k.scope = s.pk AND k.idempotency_key = $5
               LEFT JOIN turns t ON t.tenant = $1 AND t.id = $4
               LEFT JOIN messages m ON m.scope = s.pk AND m.id = $6
               LEFT JOIN turns mw ON mw.scope = s.pk AND mw.reply = $6 AND mw.closed_at IS NULL
               LEFT JOIN messages p ON p.scope = s.pk AND p.id = $7
               LEFT JOIN turns pw ON pw.scope = s.pk AND pw.reply = $7 AND pw.closed_at IS NULL
               LEFT JOIN messages r ON r.scope = s.pk AND r.id = $8
               LEFT JOIN turns rw ON rw.scope = s.pk AND rw.reply = $8 AND rw.closed_at IS NULL"
        )))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(turn.conversation.as_str())
        .bind(turn.id.as_str())
        .bind(turn.idempotency_key.as_ref().map(|key| key.as_str()))
        .bind(turn.user_message.as_str())
        .bind(self.parent().map(|parent| parent.as_str()))
        .bind(turn.reply.as_str());
        let rows = session.load(query).await?;
        let row = rows.first().ok_or_else(|| Failure::corrupt("a query of one row had none"))?;
        let mut columns = Columns::of(row);
        Ok(Found {
            conversation: columns.optional_integer()?,
            turn_of_key: columns.optional_integer()?,
            turn_of_id: columns.optional_integer()?,
            user_message: Place::read(&mut columns)?,
            parent: Place::read(&mut columns)?,
            reply: Place::read(&mut columns)?,
            is_user: columns.flag()?,
        })
    }

    /// The turn that an earlier, equal request made: by its key, or by being the very same turn.
    async fn earlier(
        &self,
        connection: &mut SqliteConnection,
        pk: i64,
        by_key: bool,
    ) -> EngineResult<Result<Accepted>> {
        let turn = &self.accept.turn;
        let (scope, record) = turn_by_number(connection, pk).await?;
        let is_same = if by_key {
            record.turn.request_hash == turn.request_hash
        } else {
            scope == self.scope && record.turn == *turn
        };
        if is_same {
            return Ok(Ok(Accepted::Existing(Box::new(record))));
        }
        Ok(if by_key {
            let detail = "the idempotency key stands for another request";
            refused(PersistErrorKind::IdempotencyConflict, OPERATION, detail)
        } else {
            let detail = format!("turn id {} is taken", turn.id);
            refused(PersistErrorKind::Conflict, OPERATION, detail)
        })
    }

    /// The rules of a new turn, before anything is written.
    fn check(&self, found: &Found) -> Result<()> {
        let turn = &self.accept.turn;
        if !self.is_consistent() {
            let detail = format!("the ids of turn {} do not fit together", turn.id);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        follows(&self.accept.segment, 0, OPERATION)?;
        if self.accept.user_message.is_none() {
            if found.user_message.within(found.conversation).is_none() || !found.is_user {
                let detail = format!(
                    "there is no user message {} in conversation {}",
                    turn.user_message, turn.conversation
                );
                return refused(PersistErrorKind::NotFound, OPERATION, detail);
            }
            return check_free(&found.reply, &turn.reply);
        }
        if let Some(parent) = self.parent()
            && found.parent.within(found.conversation).is_none()
        {
            if found.conversation.is_some() && found.parent.unfinished_in == found.conversation {
                let detail = format!("message {parent} is still being written");
                return refused(PersistErrorKind::ParentUnfinished, OPERATION, detail);
            }
            let detail = format!("message {parent} is not in conversation {}", turn.conversation);
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        check_free(&found.user_message, &turn.user_message)?;
        check_free(&found.reply, &turn.reply)
    }

    async fn write(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let program = match self.accept.user_message {
            Some(_) => fused!(program!(), message_program!()),
            None => fused!(program!()),
        };
        let query = self.bind(sqlx::query(session.last(&program)))?;
        session.save(query).await
    }

    fn bind<'q>(&'q self, query: Bound<'q>) -> EngineResult<Bound<'q>> {
        let Accept { conversation, user_message, turn, segment } = &self.accept;
        let query = query
            .bind(self.scope.tenant.as_str()) // 1
            .bind(self.scope.user.as_str())
            .bind(conversation.id.as_str())
            .bind(conversation.title.as_str()) // 4
            .bind(conversation.created_at.unix_ms())
            .bind(turn.reply.as_str())
            .bind(turn.created_at.unix_ms()) // 7
            .bind(conversation.model.as_ref().map(ToString::to_string))
            .bind(conversation.instructions.as_deref())
            .bind(options_record(&conversation.options)?) // 10
            .bind(conversation.archived)
            .bind(turn.id.as_str())
            .bind(kind_record(&turn.kind)?) // 13
            .bind(turn.user_message.as_str())
            .bind(turn.model.to_string())
            .bind(turn.owner.as_str()) // 16
            .bind(turn.idempotency_key.as_ref().map(|key| key.as_str()))
            .bind(turn.request_hash.as_str())
            .bind(stored(segment.first_seq)?) // 19
            .bind(stored(segment.last_seq)?)
            .bind(conversation.expires_at.map(chat_types::Timestamp::unix_ms))
            .bind(self.parent().map(|parent| parent.as_str())) // 22
            .bind(segment.payload.as_str());
        Ok(match user_message {
            Some(message) => query
                .bind(message.role.as_str()) // 24
                .bind(message_record(message)?)
                .bind(token_counts_record(&message.token_counts)?)
                .bind(message.summary.as_ref().map(summary_record).transpose()?), // 27
            None => query,
        })
    }
}

fn check_free(place: &Place, id: &MessageId) -> Result<()> {
    if place.is_free() {
        return Ok(());
    }
    refused(PersistErrorKind::Conflict, OPERATION, format!("message id {id} is taken"))
}
