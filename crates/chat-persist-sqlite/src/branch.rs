//! Reading a branch: from a message towards the root, in time that depends on the page alone.
//!
//! One recursive query walks parent numbers by primary key and stops at the limit, so a cycle in
//! a damaged tree ends there too; the first message that comes again ends the page.

use std::collections::HashSet;

use async_trait::async_trait;
use chat_persist::stored::MessageRow;
use chat_persist::{PersistErrorKind, Result};
use chat_types::{BranchPage, ConversationId, MessageId, Scope};
use sqlx::SqliteConnection;

use crate::error::{EngineResult, Failure};
use crate::readers::Read;
use crate::refusal::{page_rows_of, refused};
use crate::row::{Columns, parse};

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

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let limit = page_rows_of(self.limit);
        // One row more than the page, for the id of the next page's first message.
        let rows = sqlx::query(
            "WITH RECURSIVE above (place, pk, parent) AS (
                SELECT 1, m.pk, m.parent FROM scopes s
                  JOIN messages m ON m.scope = s.pk AND m.id = $4
                  JOIN conversations c ON c.pk = m.conversation AND c.id = $3
                 WHERE s.tenant = $1 AND s.user = $2
                UNION ALL
                SELECT above.place + 1, m.pk, m.parent
                  FROM above JOIN messages m ON m.pk = above.parent
                 LIMIT $5 + 1)
             SELECT above.place, above.pk, above.parent, m.id,
                    CASE WHEN above.place <= $5 THEN m.role ELSE '' END,
                    CASE WHEN above.place <= $5 THEN m.record ELSE '' END,
                    CASE WHEN above.place <= $5 THEN m.token_counts ELSE '' END,
                    CASE WHEN above.place <= $5 THEN m.summary END
               FROM above JOIN messages m ON m.pk = above.pk",
        )
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
        let mut nodes = rows.iter().map(node_of).collect::<EngineResult<Vec<_>>>()?;
        nodes.sort_unstable_by_key(|node| node.place);
        self.page(&nodes, usize::try_from(limit).unwrap_or(usize::MAX)).map(Ok)
    }
}

struct Node<'r> {
    place: i64,
    pk: i64,
    parent: Option<i64>,
    message: MessageRow<'r>,
}

fn node_of(row: &sqlx::sqlite::SqliteRow) -> EngineResult<Node<'_>> {
    let mut columns = Columns::of(row);
    Ok(Node {
        place: columns.integer()?,
        pk: columns.integer()?,
        parent: columns.optional_integer()?,
        message: MessageRow {
            id: columns.text()?,
            role: columns.text()?,
            record: columns.text()?,
            token_counts: columns.text()?,
            summary: columns.optional_text()?,
        },
    })
}

impl ReadBranch {
    fn page(&self, nodes: &[Node<'_>], limit: usize) -> EngineResult<BranchPage> {
        let mut seen = HashSet::with_capacity(nodes.len());
        let mut messages = Vec::with_capacity(nodes.len().min(limit));
        let mut next = None;
        for (place, node) in nodes.iter().enumerate() {
            if !seen.insert(node.pk) {
                next = None;
                break;
            }
            if place == limit {
                break;
            }
            let above = nodes.get(place.saturating_add(1));
            let parent: Option<MessageId> = match (node.parent, above) {
                (None, _) => None,
                (Some(_), Some(above)) => Some(parse(above.message.id)?),
                (Some(_), None) => return Err(Failure::corrupt("a message has lost its parent")),
            };
            next.clone_from(&parent);
            messages.push(node.message.read(&self.conversation, parent)?);
        }
        Ok(BranchPage { messages, next })
    }
}
