//! Messages: read one, read all in order, keep token counts and a summary, delete a subtree.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::stored::{MessageRow, summary_record, token_counts_record};
use chat_persist::{MessagePage, PersistErrorKind, Result};
use chat_types::{ConversationId, Message, MessageId, Scope, Summary, TokenCount};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::{page_rows_of, refused};
use crate::row::{Columns, encode};
use crate::session::{Session, fused};
use crate::writer::Write;

/// The columns `message_of` reads, in its order; `p` is the parent.
macro_rules! columns {
    () => {
        "m.id, p.id, m.role, m.record, m.token_counts, m.summary"
    };
}

pub(crate) fn message_of(
    columns: &mut Columns<'_>,
    conversation: &ConversationId,
) -> EngineResult<Message> {
    let id = columns.text()?;
    let parent = columns.optional_parsed()?;
    let row = MessageRow {
        id,
        role: columns.text()?,
        record: columns.text()?,
        token_counts: columns.text()?,
        summary: columns.optional_text()?,
    };
    Ok(row.read(conversation, parent)?)
}

/// Reads one.
#[derive(Debug)]
pub(crate) struct ReadMessage {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) id: MessageId,
}

#[async_trait]
impl Read for ReadMessage {
    type Output = Option<Message>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM scopes s JOIN messages m ON m.scope = s.pk AND m.id = $4
              JOIN conversations c ON c.pk = m.conversation AND c.id = $3
              LEFT JOIN messages p ON p.pk = m.parent
              WHERE s.tenant = $1 AND s.user = $2"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(self.id.as_str())
        .fetch_optional(connection)
        .await?;
        row.as_ref().map(|row| message_of(&mut Columns::of(row), &self.conversation)).transpose()
    }
}

/// Reads a page in the order of writing.
#[derive(Debug)]
pub(crate) struct ReadMessages {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) after: Option<MessageId>,
    pub(crate) limit: usize,
}

#[async_trait]
impl Read for ReadMessages {
    type Output = Result<MessagePage>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let place = sqlx::query(
            "SELECT c.pk, a.pk FROM scopes s
               JOIN conversations c ON c.scope = s.pk AND c.id = $3
               LEFT JOIN messages a ON a.scope = s.pk AND a.id = $4 AND a.conversation = c.pk
              WHERE s.tenant = $1 AND s.user = $2",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(self.after.as_ref().map(|after| after.as_str()))
        .fetch_optional(&mut *connection)
        .await?;
        let Some(place) = place else {
            return Ok(Ok(MessagePage::default()));
        };
        let mut columns = Columns::of(&place);
        let (conversation, after) = (columns.integer()?, columns.optional_integer()?);
        if let (Some(id), None) = (&self.after, after) {
            let detail = format!("message {id} is not in conversation {}", self.conversation);
            return Ok(refused(PersistErrorKind::NotFound, "read messages", detail));
        }
        let limit = page_rows_of(self.limit);
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM messages m LEFT JOIN messages p ON p.pk = m.parent
              WHERE m.conversation = $1 AND m.pk > $2 ORDER BY m.pk LIMIT $3"
        ))
        .bind(conversation)
        .bind(after.unwrap_or(i64::MIN))
        .bind(limit.saturating_add(1))
        .fetch_all(connection)
        .await?;
        self.page(&rows, usize::try_from(limit).unwrap_or(usize::MAX)).map(Ok)
    }
}

impl ReadMessages {
    fn page(&self, rows: &[SqliteRow], limit: usize) -> EngineResult<MessagePage> {
        let messages = rows
            .iter()
            .take(limit)
            .map(|row| message_of(&mut Columns::of(row), &self.conversation))
            .collect::<EngineResult<Vec<_>>>()?;
        let is_cut = rows.len() > limit;
        let next = messages.last().filter(|_| is_cut).map(|last| last.id.clone());
        Ok(MessagePage { messages, next })
    }
}

/// Keeps token counts; a count that is there already stays.
#[derive(Debug)]
pub(crate) struct KeepTokenCounts {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) counts: Vec<(MessageId, TokenCount)>,
}

#[async_trait]
impl Write for KeepTokenCounts {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let mut wanted: BTreeMap<&str, Vec<TokenCount>> = BTreeMap::new();
        for (id, count) in &self.counts {
            let counts = wanted.entry(id.as_str()).or_default();
            if counts.iter().all(|first| first.tokenizer != count.tokenizer) {
                counts.push(count.clone());
            }
        }
        let wanted = wanted
            .into_iter()
            .map(|(id, counts)| Ok((id, token_counts_record(&counts)?)))
            .collect::<EngineResult<BTreeMap<&str, String>>>()?;
        let query = sqlx::query(session.last(&fused!(
            "WITH found AS MATERIALIZED (
                SELECT m.pk, m.token_counts AS kept, wanted.value AS wanted FROM scopes s
                 CROSS JOIN json_each($4) wanted
                 CROSS JOIN messages m ON m.scope = s.pk AND m.id = wanted.key
                  JOIN conversations c ON c.pk = m.conversation AND c.id = $3
                 WHERE s.tenant = $1 AND s.user = $2)
             UPDATE messages SET token_counts =
                (SELECT json_group_array(json(value)) FROM (
                    SELECT value FROM json_each(found.kept) UNION ALL
                    SELECT value FROM json_each(found.wanted) WHERE value ->> 'tokenizer' NOT IN
                        (SELECT value ->> 'tokenizer' FROM json_each(found.kept))))
               FROM found
              WHERE messages.pk = found.pk AND EXISTS
                (SELECT 1 FROM json_each(found.wanted) WHERE value ->> 'tokenizer' NOT IN
                    (SELECT value ->> 'tokenizer' FROM json_each(found.kept)))"
        )))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(encode(&wanted)?);
        session.save(query).await
    }
}

/// Keeps a summary with its message.
#[derive(Debug)]
pub(crate) struct KeepSummary {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) summary: Summary,
}

#[async_trait]
impl Write for KeepSummary {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let Self { scope, conversation, summary } = self;
        let connection = session.connection().await?;
        let kept = sqlx::query(
            "UPDATE messages SET summary = $5
               FROM scopes s JOIN conversations c ON c.scope = s.pk AND c.id = $3
              WHERE s.tenant = $1 AND s.user = $2
                AND messages.scope = s.pk AND messages.id = $4 AND messages.conversation = c.pk",
        )
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(conversation.as_str())
        .bind(summary.covers_to.as_str())
        .bind(summary_record(summary)?)
        .execute(connection)
        .await?;
        if kept.rows_affected() == 0 {
            let detail =
                format!("message {} is not in conversation {conversation}", summary.covers_to);
            return Ok(refused(PersistErrorKind::NotFound, "keep summary", detail));
        }
        Ok(Ok(()))
    }
}

/// Deletes a message and everything below it.
#[derive(Debug)]
pub(crate) struct DeleteSubtree {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
}

/// The numbers of message `$1` and everything below it. UNION, so that a cycle ends.
macro_rules! below {
    () => {
        "WITH RECURSIVE below (pk) AS (SELECT $1
            UNION SELECT m.pk FROM below JOIN messages m ON m.parent = below.pk) "
    };
}

#[async_trait]
impl Write for DeleteSubtree {
    type Output = Result<u64>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let top = sqlx::query(
            "SELECT m.pk, c.pk, s.pk FROM scopes s
               JOIN messages m ON m.scope = s.pk AND m.id = $4
               JOIN conversations c ON c.pk = m.conversation AND c.id = $3
              WHERE s.tenant = $1 AND s.user = $2",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(self.message.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(top) = top else {
            return Ok(Ok(0));
        };
        let mut columns = Columns::of(&top);
        let (pk, conversation, scope) =
            (columns.integer()?, columns.integer()?, columns.integer()?);
        let writing = sqlx::query(concat!(
            below!(),
            "SELECT 1 FROM turns t JOIN messages m ON m.scope = t.scope AND m.id = t.user_message
              WHERE t.scope = $2 AND t.closed_at IS NULL AND m.pk IN (SELECT pk FROM below)"
        ))
        .bind(pk)
        .bind(scope)
        .fetch_optional(&mut *connection)
        .await?;
        if writing.is_some() {
            let detail = format!("a turn is writing below message {}", self.message);
            return Ok(refused(PersistErrorKind::Conflict, "delete subtree", detail));
        }
        let moved = sqlx::query(concat!(
            below!(),
            "UPDATE conversations SET head = (SELECT p.id FROM messages m
                 JOIN messages p ON p.pk = m.parent WHERE m.pk = $1)
              WHERE pk = $2 AND head IN
                (SELECT m.id FROM below JOIN messages m ON m.pk = below.pk)"
        ));
        moved.bind(pk).bind(conversation).execute(&mut *connection).await?;
        let deleted = sqlx::query(concat!(
            below!(),
            "DELETE FROM messages WHERE pk IN (SELECT pk FROM below)"
        ));
        let deleted = deleted.bind(pk).execute(connection).await?;
        Ok(Ok(deleted.rows_affected()))
    }
}
