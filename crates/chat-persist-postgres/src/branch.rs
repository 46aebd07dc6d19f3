//! Reading a branch: from a message towards the root, in time that depends on the page alone.
//!
//! One recursive query walks parent ids by the primary key and stops at the limit, so a cycle in a
//! damaged tree ends there too; the first message that comes again ends the page.

use std::collections::HashSet;

use async_trait::async_trait;
use chat_persist::{PersistErrorKind, Result};
use chat_types::{BranchPage, ConversationId, MessageId, Scope};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::error::{EngineResult, Failure};
use crate::messages::{message_columns, message_of};
use crate::refusal::{page_rows_of, refused};
use crate::row::Columns;
use crate::runner::Read;

/// Reads up to `limit` messages from `head` upwards.
#[derive(Debug)]
pub(crate) struct ReadBranch {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) head: MessageId,
    pub(crate) limit: usize,
}

#[async_trait]
impl Read for ReadBranch {
    type Output = Result<BranchPage>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let limit = page_rows_of(self.limit);
        // OFFSET 0 and the joined empty text are for the planner: whatever it believes of a table
        // it has not looked at yet, each message is looked up by its own key.
        let rows = sqlx::query(concat!(
            "WITH RECURSIVE above (place, id, parent, role, record, token_counts, summary) AS (
                SELECT 1::BIGINT, ",
            message_columns!(),
            " FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $4
                    AND m.conversation || '' = $3
                UNION ALL
                SELECT above.place + 1, ",
            message_columns!(),
            " FROM above CROSS JOIN LATERAL (SELECT * FROM messages
                    WHERE tenant = $1 AND user_id = $2 AND id = above.parent OFFSET 0) m
                 WHERE above.place < $5)
             SELECT ",
            message_columns!(),
            " FROM above m ORDER BY m.place"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.as_str())
        .bind(self.head.as_str())
        .bind(limit)
        .fetch_all(connection)
        .await?;
        if rows.is_empty() {
            let detail =
                format!("message {} is not in conversation {}", self.head, self.conversation);
            return Ok(refused(PersistErrorKind::NotFound, "read branch", detail));
        }
        self.page(&rows, usize::try_from(limit).unwrap_or(usize::MAX)).map(Ok)
    }
}

impl ReadBranch {
    fn page(&self, rows: &[PgRow], limit: usize) -> EngineResult<BranchPage> {
        let mut seen = HashSet::with_capacity(rows.len());
        let mut messages = Vec::with_capacity(rows.len());
        let mut next = None;
        for row in rows {
            let message = message_of(&mut Columns::of(row), &self.conversation)?;
            if !seen.insert(message.id.clone()) {
                return Ok(BranchPage { messages, next: None });
            }
            next.clone_from(&message.parent);
            messages.push(message);
        }
        if messages.len() < limit && next.is_some() {
            return Err(Failure::corrupt("a message has lost its parent"));
        }
        // A cycle that ends with the page is no reason for another one.
        let next = next.filter(|next| !seen.contains(next));
        Ok(BranchPage { messages, next })
    }
}
