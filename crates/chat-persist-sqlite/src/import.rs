//! Writing a whole conversation, a fork or an import, in one transaction.

use std::collections::HashMap;

use async_trait::async_trait;
use chat_persist::stored::{message_record, summary_record, token_counts_record};
use chat_persist::{PersistErrorKind, Result};
use chat_types::{Conversation, ConversationId, Message, MessageId, Scope};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::conversations;
use crate::error::{EngineResult, Failure};
use crate::messages::message_of;
use crate::refusal::refused;
use crate::row::{Columns, encode};
use crate::session::Session;
use crate::writer::Write;

const OPERATION: &str = "import conversation";

/// Messages per statement: some megabytes of text at most, whatever the size of the import.
const ROWS_PER_STATEMENT: usize = 500;

/// Writes a conversation with its messages, or nothing.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) scope: Scope,
    pub(crate) conversation: Conversation,
    pub(crate) messages: Vec<Message>,
}

/// Where the conversation goes.
struct Place {
    scope: Option<i64>,
    conversation: Option<i64>,
    next_scope: i64,
    next_conversation: i64,
    next_message: i64,
}

/// What stands under an id that the import names.
enum Taken {
    /// A message of this or another conversation.
    Message { pk: i64, message: Box<Message> },
    /// A reply that is still being written.
    Unfinished,
}

/// One row to insert, as the statement takes it.
#[derive(Serialize)]
struct NewRow<'a> {
    pk: i64,
    id: &'a str,
    parent: Option<i64>,
    role: &'static str,
    record: String,
    token_counts: String,
    summary: Option<String>,
}

/// What is to be written: new messages, and summaries of messages that are there without one.
#[derive(Default)]
struct New<'a> {
    rows: Vec<NewRow<'a>>,
    summaries: Vec<(i64, String)>,
}

#[async_trait]
impl Write for Import {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let place = self.place(connection).await?;
        let taken = match place.scope {
            Some(scope) => self.taken(connection, scope).await?,
            None => HashMap::new(),
        };
        let new = match self.checked(&place, &taken)? {
            Ok(new) => new,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.write(connection, &place, &new).await?;
        Ok(Ok(()))
    }
}

impl Import {
    async fn place(&self, connection: &mut SqliteConnection) -> EngineResult<Place> {
        let row = sqlx::query(
            "SELECT s.pk, c.pk, (SELECT coalesce(max(pk), 0) + 1 FROM scopes),
                    (SELECT coalesce(max(pk), 0) + 1 FROM conversations),
                    (SELECT coalesce(max(pk), 0) + 1 FROM messages)
               FROM (SELECT 1) LEFT JOIN scopes s ON s.tenant = $1 AND s.user = $2
               LEFT JOIN conversations c ON c.scope = s.pk AND c.id = $3",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.conversation.id.as_str())
        .fetch_one(connection)
        .await?;
        let mut columns = Columns::of(&row);
        Ok(Place {
            scope: columns.optional_integer()?,
            conversation: columns.optional_integer()?,
            next_scope: columns.integer()?,
            next_conversation: columns.integer()?,
            next_message: columns.integer()?,
        })
    }

    /// What the scope already has under the ids of the messages and of their parents.
    async fn taken(
        &self,
        connection: &mut SqliteConnection,
        scope: i64,
    ) -> EngineResult<HashMap<MessageId, Taken>> {
        let mut taken = HashMap::new();
        for messages in self.messages.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<&str> = messages
                .iter()
                .flat_map(|message| std::iter::once(&message.id).chain(&message.parent))
                .map(MessageId::as_str)
                .collect();
            let rows = sqlx::query(
                "SELECT m.pk, c.id, m.id, p.id, m.role, m.record, m.token_counts, m.summary
                   FROM json_each($2) wanted
                   CROSS JOIN messages m ON m.scope = $1 AND m.id = wanted.value
                   JOIN conversations c ON c.pk = m.conversation
                   LEFT JOIN messages p ON p.pk = m.parent;
                 SELECT NULL, t.reply FROM json_each($2) wanted
                   CROSS JOIN turns t ON t.scope = $1 AND t.reply = wanted.value AND t.closed_at IS NULL",
            )
            .bind(scope)
            .bind(encode(&ids)?)
            .fetch_all(&mut *connection)
            .await?;
            for row in &rows {
                let mut columns = Columns::of(row);
                let Some(pk) = columns.optional_integer()? else {
                    taken.insert(columns.parsed()?, Taken::Unfinished);
                    continue;
                };
                let conversation: ConversationId = columns.parsed()?;
                let message = Box::new(message_of(&mut columns, &conversation)?);
                taken.insert(message.id.clone(), Taken::Message { pk, message });
            }
        }
        Ok(taken)
    }

    /// Checks every message in order and numbers the new ones.
    fn checked(
        &self,
        place: &Place,
        taken: &HashMap<MessageId, Taken>,
    ) -> EngineResult<Result<New<'_>>> {
        let mut arriving: HashMap<&MessageId, i64> = HashMap::new();
        let mut new = New::default();
        let mut next = place.next_message;
        for message in &self.messages {
            if message.conversation != self.conversation.id {
                let detail = format!("message {} belongs to another conversation", message.id);
                return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
            }
            let parent = message.parent.as_ref();
            let parent_pk = parent
                .and_then(|id| arriving.get(id).copied().or_else(|| self.here(taken.get(id))));
            if parent.is_some() && parent_pk.is_none() {
                let detail = format!("message {} comes before its parent", message.id);
                return Ok(refused(PersistErrorKind::ParentMissing, OPERATION, detail));
            }
            let stored = taken.get(&message.id);
            if let Some(Taken::Message { pk, message: stored }) = stored
                && stored.is_same_content(message)
            {
                if let (None, Some(summary)) = (&stored.summary, &message.summary) {
                    new.summaries.push((*pk, summary_record(summary)?));
                }
                continue;
            }
            if stored.is_some() || arriving.insert(&message.id, next).is_some() {
                let detail = format!("message id {} is taken", message.id);
                return Ok(refused(PersistErrorKind::Conflict, OPERATION, detail));
            }
            new.rows.push(NewRow {
                pk: next,
                id: message.id.as_str(),
                parent: parent_pk,
                role: message.role.as_str(),
                record: message_record(message)?,
                token_counts: token_counts_record(&message.token_counts)?,
                summary: message.summary.as_ref().map(summary_record).transpose()?,
            });
            next = next.checked_add(1).ok_or_else(|| Failure::corrupt("no message number left"))?;
        }
        if let Some(head) = &self.conversation.head
            && place.conversation.is_none()
            && !arriving.contains_key(head)
        {
            let detail = format!("the head {head} is not among the messages");
            return Ok(refused(PersistErrorKind::ParentMissing, OPERATION, detail));
        }
        Ok(Ok(new))
    }

    /// The number of a stored message of this conversation.
    fn here(&self, taken: Option<&Taken>) -> Option<i64> {
        match taken? {
            Taken::Message { pk, message } => {
                (message.conversation == self.conversation.id).then_some(*pk)
            }
            Taken::Unfinished => None,
        }
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        place: &Place,
        new: &New<'_>,
    ) -> EngineResult<()> {
        let scope = match place.scope {
            Some(scope) => scope,
            None => {
                sqlx::query("INSERT INTO scopes (pk, tenant, user) VALUES ($1, $2, $3)")
                    .bind(place.next_scope)
                    .bind(self.scope.tenant.as_str())
                    .bind(self.scope.user.as_str())
                    .execute(&mut *connection)
                    .await?;
                place.next_scope
            }
        };
        let conversation = match place.conversation {
            Some(conversation) => conversation,
            None => {
                let pk = place.next_conversation;
                conversations::insert(connection, scope, pk, &self.conversation).await?;
                pk
            }
        };
        for rows in new.rows.chunks(ROWS_PER_STATEMENT) {
            sqlx::query(
                "INSERT INTO messages (pk, scope, conversation, id, parent, role, record,
                        token_counts, summary)
                 SELECT value ->> 'pk', $1, $2, value ->> 'id', value ->> 'parent',
                        value ->> 'role', value ->> 'record', value ->> 'token_counts',
                        value ->> 'summary'
                   FROM json_each($3)",
            )
            .bind(scope)
            .bind(conversation)
            .bind(encode(&rows)?)
            .execute(&mut *connection)
            .await?;
        }
        for summaries in new.summaries.chunks(ROWS_PER_STATEMENT) {
            sqlx::query(
                "UPDATE messages SET summary = new.value ->> 1 FROM json_each($1) new
                  WHERE messages.pk = new.value ->> 0",
            )
            .bind(encode(&summaries)?)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}
