//! Messages: read one, read all in order, keep token counts and a summary, delete a subtree.
//!
//! Where a message is found by its id, its conversation is compared as `conversation || ''`: no index
//! is tempted then to read the conversation instead, whatever the planner believes of a young table.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::stored::{MessageRow, summary_record, token_counts_of, token_counts_record};
use chat_persist::{MessagePage, PersistErrorKind, Result};
use chat_types::{ConversationId, Message, MessageId, Scope, Summary, TokenCount};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::conversations;
use crate::error::EngineResult;
use crate::refusal::{page_rows_of, refused};
use crate::row::Columns;
use crate::runner::{Read, Write};
use crate::session::Session;

/// The columns `message_of` reads, in its order, of table `m`.
macro_rules! message_columns {
    () => {
        "m.id, m.parent, m.role, m.record, m.token_counts, m.summary"
    };
}
pub(crate) use message_columns;

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

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $4
                AND m.conversation || '' = $3"
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

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let limit = page_rows_of(self.limit);
        // Numbers are above 0; one that is not found compares with nothing.
        let rows = sqlx::query(concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.conversation = $3
                AND m.pk > CASE WHEN $4::TEXT IS NULL THEN 0 ELSE
                    (SELECT a.pk FROM messages a WHERE a.tenant = $1 AND a.user_id = $2
                        AND a.id = $4 AND a.conversation || '' = $3) END
              ORDER BY m.pk LIMIT $5"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(self.after.as_ref().map(|after| after.as_str()))
        .bind(limit.saturating_add(1))
        .fetch_all(&mut *connection)
        .await?;
        if let (true, Some(after)) = (rows.is_empty(), &self.after)
            && self.is_elsewhere(connection, after).await?
        {
            let detail = format!("message {after} is not in conversation {}", self.conversation);
            return Ok(refused(PersistErrorKind::NotFound, "read messages", detail));
        }
        self.page(&rows, usize::try_from(limit).unwrap_or(usize::MAX)).map(Ok)
    }
}

impl ReadMessages {
    /// The conversation is there, the message is not in it.
    async fn is_elsewhere(
        &self,
        connection: &mut PgConnection,
        after: &MessageId,
    ) -> EngineResult<bool> {
        let row = sqlx::query(
            "SELECT 1 FROM conversations c
              WHERE c.tenant = $1 AND c.user_id = $2 AND c.id = $3 AND NOT EXISTS
                (SELECT 1 FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $4
                    AND m.conversation || '' = $3)",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(after.as_str())
        .fetch_optional(connection)
        .await?;
        Ok(row.is_some())
    }

    fn page(&self, rows: &[PgRow], limit: usize) -> EngineResult<MessagePage> {
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let mut wanted: BTreeMap<&str, Vec<&TokenCount>> = BTreeMap::new();
        for (id, count) in &self.counts {
            wanted.entry(id.as_str()).or_default().push(count);
        }
        let connection = session.begin().await?;
        // Locked in the order of their ids, so that two callers do not wait for each other.
        let rows = sqlx::query(
            "SELECT m.id, m.token_counts FROM messages m
              WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = ANY ($4)
                AND m.conversation || '' = $3
              ORDER BY m.id FOR NO KEY UPDATE",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(wanted.keys().copied().collect::<Vec<&str>>())
        .fetch_all(&mut *connection)
        .await?;
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = Columns::of(row);
            let (id, mut kept) = (columns.text()?, token_counts_of(columns.text()?)?);
            let before = kept.len();
            for count in wanted.get(id).into_iter().flatten() {
                if kept.iter().all(|first| first.tokenizer != count.tokenizer) {
                    kept.push((*count).clone());
                }
            }
            if kept.len() > before {
                ids.push(id);
                records.push(token_counts_record(&kept)?);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE messages m SET token_counts = new.token_counts
               FROM unnest($3::TEXT[], $4::TEXT[]) AS new (id, token_counts)
              WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = new.id",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(ids)
        .bind(records)
        .execute(connection)
        .await?;
        Ok(())
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let Self { scope, conversation, summary } = self;
        let (connection, message) = (session.alone(), &summary.covers_to);
        if write_summary(connection, scope, conversation, message, summary, Earlier::Goes).await? {
            return Ok(Ok(()));
        }
        let detail = format!("message {message} is not in conversation {conversation}");
        Ok(refused(PersistErrorKind::NotFound, "keep summary", detail))
    }
}

/// What becomes of a summary that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    Stays,
    Goes,
}

/// Writes the summary of `message`; false if the conversation has no such message, or it has a
/// summary that stays.
pub(crate) async fn write_summary(
    connection: &mut PgConnection,
    scope: &Scope,
    conversation: &ConversationId,
    message: &MessageId,
    summary: &Summary,
    earlier: Earlier,
) -> EngineResult<bool> {
    let written = sqlx::query(
        "UPDATE messages m SET summary = $5
          WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $4 AND m.conversation || '' = $3
            AND ($6 OR m.summary IS NULL)",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(conversation.as_str())
    .bind(message.as_str())
    .bind(summary_record(summary)?)
    .bind(earlier == Earlier::Goes)
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Deletes a message and everything below it.
#[derive(Debug)]
pub(crate) struct DeleteSubtree {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
}

/// The ids of message `$3` and everything below it. UNION, so that a cycle ends.
macro_rules! below {
    () => {
        "WITH RECURSIVE below (id) AS (SELECT $3::TEXT COLLATE \"C\"
            UNION SELECT m.id FROM below CROSS JOIN LATERAL (SELECT id FROM messages
                WHERE tenant = $1 AND user_id = $2 AND parent = below.id OFFSET 0) m) "
    };
}

#[async_trait]
impl Write for DeleteSubtree {
    type Output = Result<u64>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        if !conversations::lock(connection, &self.scope, &self.conversation).await? {
            return Ok(Ok(0));
        }
        let top = sqlx::query(
            "SELECT m.parent FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $3
                AND m.conversation || '' = $4",
        );
        let Some(top) = self.bind(top).fetch_optional(&mut *connection).await? else {
            return Ok(Ok(0));
        };
        let writing = sqlx::query(concat!(
            below!(),
            "SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.user_id = $2 AND t.conversation = $4
                AND t.closed_at IS NULL AND t.user_message IN (SELECT id FROM below)"
        ));
        if self.bind(writing).fetch_optional(&mut *connection).await?.is_some() {
            let detail = format!("a turn is writing below message {}", self.message);
            return Ok(refused(PersistErrorKind::Conflict, "delete subtree", detail));
        }
        let moved = sqlx::query(concat!(
            below!(),
            "UPDATE conversations SET head = $5 WHERE tenant = $1 AND user_id = $2 AND id = $4
                AND head IN (SELECT id FROM below)"
        ));
        let parent = Columns::of(&top).optional_text()?;
        self.bind(moved).bind(parent).execute(&mut *connection).await?;
        let deleted = sqlx::query(concat!(
            below!(),
            "DELETE FROM messages WHERE tenant = $1 AND user_id = $2
                AND id IN (SELECT id FROM below)"
        ));
        let deleted = self.bind(deleted).execute(connection).await?;
        Ok(Ok(deleted.rows_affected()))
    }
}

impl DeleteSubtree {
    fn bind<'q>(&'q self, query: crate::row::Bound<'q>) -> crate::row::Bound<'q> {
        query
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .bind(self.message.as_str())
            .bind(self.conversation.as_str())
    }
}
