//! Writing a whole conversation, a fork or an import, in one transaction.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chat_persist::stored::{message_record, summary_record, token_counts_record};
use chat_persist::{PersistErrorKind, Result};
use chat_types::{Conversation, ConversationId, Message, MessageId, Scope, Summary};
use sqlx::PgConnection;

use crate::conversations;
use crate::error::EngineResult;
use crate::messages::{Earlier, message_columns, message_of, write_summary};
use crate::refusal::refused;
use crate::row::Columns;
use crate::runner::Write;
use crate::session::Session;

const OPERATION: &str = "import conversation";

/// Messages per statement: enough that round trips do not count.
const ROWS_PER_STATEMENT: usize = 500;

/// Text per statement: what both sides hold in memory at once, unless one message is longer.
const BYTES_PER_STATEMENT: usize = 8 * 1024 * 1024;

/// Writes a conversation with its messages, or nothing.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) scope: Scope,
    pub(crate) conversation: Conversation,
    pub(crate) messages: Vec<Message>,
}

/// What stands under an id that the import names.
enum Taken {
    /// A message of this or another conversation.
    Message(Box<Message>),
    /// A reply that is still being written.
    Unfinished,
}

/// Rows to insert in one statement, column by column.
#[derive(Default)]
struct NewRows<'a> {
    ids: Vec<&'a str>,
    parents: Vec<Option<&'a str>>,
    roles: Vec<&'static str>,
    records: Vec<String>,
    token_counts: Vec<String>,
    summaries: Vec<Option<String>>,
    size_bytes: usize,
}

/// What is to be written: new messages, and summaries of messages that are there without one.
#[derive(Default)]
struct New<'a> {
    messages: Vec<&'a Message>,
    summaries: Vec<(&'a MessageId, &'a Summary)>,
}

#[async_trait]
impl Write for Import {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        // Nobody else gives ids in this scope meanwhile.
        sqlx::query("SELECT pg_advisory_xact_lock(lock_of($1, $2, ''))")
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .execute(&mut *connection)
            .await?;
        let is_there = conversations::lock(connection, &self.scope, &self.conversation.id).await?;
        let taken = self.taken(connection).await?;
        let mut new = match self.check(is_there, &taken) {
            Ok(new) => new,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !is_there {
            conversations::insert(connection, &self.scope, &self.conversation).await?;
        }
        let mut rows = NewRows::default();
        for message in new.messages {
            rows.push(message)?;
            if rows.is_full() {
                self.insert(connection, std::mem::take(&mut rows)).await?;
            }
        }
        self.insert(connection, rows).await?;
        // In the order of their ids, as whoever keeps token counts locks them.
        new.summaries.sort_by_key(|(id, _)| *id);
        for (id, summary) in new.summaries {
            let (scope, conversation) = (&self.scope, &self.conversation.id);
            write_summary(connection, scope, conversation, id, summary, Earlier::Stays).await?;
        }
        Ok(Ok(()))
    }
}

impl Import {
    /// What the scope already has under the ids of the messages and of their parents.
    async fn taken(
        &self,
        connection: &mut PgConnection,
    ) -> EngineResult<HashMap<MessageId, Taken>> {
        let mut taken = HashMap::new();
        for messages in self.messages.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<&str> = messages
                .iter()
                .flat_map(|message| std::iter::once(&message.id).chain(&message.parent))
                .map(MessageId::as_str)
                .collect();
            // Replies first: one that ends between the two looks is then seen as a message.
            let replies = sqlx::query(
                "SELECT t.reply FROM turns t WHERE t.tenant = $1 AND t.user_id = $2
                    AND t.reply = ANY ($3) AND t.closed_at IS NULL",
            );
            let found = sqlx::query(concat!(
                "SELECT m.conversation, ",
                message_columns!(),
                " FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = ANY ($3)"
            ));
            let bind = |query: crate::row::Bound<'static>| {
                query
                    .bind(self.scope.tenant.as_str().to_owned())
                    .bind(self.scope.user.as_str().to_owned())
            };
            let rows = bind(replies).bind(ids.clone()).fetch_all(&mut *connection).await?;
            for row in &rows {
                taken.insert(Columns::of(row).parsed()?, Taken::Unfinished);
            }
            for row in &bind(found).bind(ids).fetch_all(&mut *connection).await? {
                let mut columns = Columns::of(row);
                let conversation: ConversationId = columns.parsed()?;
                let message = Box::new(message_of(&mut columns, &conversation)?);
                taken.insert(message.id.clone(), Taken::Message(message));
            }
        }
        Ok(taken)
    }

    /// Checks every message in order; what is new.
    fn check(&self, is_there: bool, taken: &HashMap<MessageId, Taken>) -> Result<New<'_>> {
        let mut arriving: HashSet<&MessageId> = HashSet::new();
        let mut new = New::default();
        for message in &self.messages {
            if message.conversation != self.conversation.id {
                let detail = format!("message {} belongs to another conversation", message.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
            let is_parent_missing = message
                .parent
                .as_ref()
                .is_some_and(|id| !arriving.contains(id) && !self.is_here(taken.get(id)));
            if is_parent_missing {
                let detail = format!("message {} comes before its parent", message.id);
                return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
            }
            let stored = taken.get(&message.id);
            if let Some(Taken::Message(stored)) = stored
                && stored.is_same_content(message)
            {
                let summary = message.summary.as_ref().filter(|_| stored.summary.is_none());
                new.summaries.extend(summary.map(|summary| (&message.id, summary)));
                continue;
            }
            if stored.is_some() || !arriving.insert(&message.id) {
                let detail = format!("message id {} is taken", message.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
            new.messages.push(message);
        }
        if let Some(head) = &self.conversation.head
            && !is_there
            && !arriving.contains(head)
        {
            let detail = format!("the head {head} is not among the messages");
            return refused(PersistErrorKind::ParentMissing, OPERATION, detail);
        }
        Ok(new)
    }

    /// A stored message of this conversation.
    fn is_here(&self, taken: Option<&Taken>) -> bool {
        match taken {
            Some(Taken::Message(message)) => message.conversation == self.conversation.id,
            Some(Taken::Unfinished) | None => false,
        }
    }

    async fn insert(&self, connection: &mut PgConnection, rows: NewRows<'_>) -> EngineResult<()> {
        if rows.ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO messages (tenant, user_id, conversation, id, parent, role, record,
                    token_counts, summary)
             SELECT $1, $2, $3, new.id, new.parent, new.role, new.record, new.token_counts,
                    new.summary
               FROM unnest($4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[])
                    WITH ORDINALITY AS new (id, parent, role, record, token_counts, summary, place)
              ORDER BY new.place",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.id.as_str())
        .bind(rows.ids)
        .bind(rows.parents)
        .bind(rows.roles)
        .bind(rows.records)
        .bind(rows.token_counts)
        .bind(rows.summaries)
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl<'a> NewRows<'a> {
    fn push(&mut self, message: &'a Message) -> EngineResult<()> {
        let record = message_record(message)?;
        let summary = message.summary.as_ref().map(summary_record).transpose()?;
        let size_bytes = record.len().saturating_add(summary.as_ref().map_or(0, String::len));
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
        self.ids.push(message.id.as_str());
        self.parents.push(message.parent.as_ref().map(MessageId::as_str));
        self.roles.push(message.role.as_str());
        self.records.push(record);
        self.token_counts.push(token_counts_record(&message.token_counts)?);
        self.summaries.push(summary);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= ROWS_PER_STATEMENT || self.size_bytes >= BYTES_PER_STATEMENT
    }
}
