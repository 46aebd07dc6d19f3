//! Conversations: read, list, change, delete.

use async_trait::async_trait;
use chat_persist::stored::{options_of, options_record};
use chat_persist::{
    ConversationCursor, ConversationPage, ConversationQuery, PersistErrorKind, Result,
};
use chat_types::{
    Change, Conversation, ConversationId, ConversationPatch, ModelRef, Scope, Timestamp,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::{page_rows, refused};
use crate::row::Columns;
use crate::session::Session;
use crate::writer::Write;

/// The columns `conversation_of` reads, in its order.
macro_rules! columns {
    () => {
        "c.id, c.title, c.created_at, c.updated_at, c.head, c.model, c.instructions, c.options, \
         c.archived, c.expires_at"
    };
}

/// True if a turn of `c` is running, or has a step whose amounts the ledger may not have yet.
macro_rules! is_busy {
    () => {
        "EXISTS (SELECT 1 FROM turns t WHERE t.conversation = c.pk AND (t.closed_at IS NULL
            OR EXISTS (SELECT 1 FROM steps p WHERE p.turn = t.pk AND p.state = 'settling')))"
    };
}
fn conversation_of(columns: &mut Columns<'_>) -> EngineResult<Conversation> {
    Ok(Conversation {
        id: columns.parsed()?,
        title: columns.text()?.to_owned(),
        created_at: columns.time()?,
        updated_at: columns.time()?,
        head: columns.optional_parsed()?,
        model: columns.optional_parsed()?,
        instructions: columns.optional_text()?.map(str::to_owned),
        options: options_of(columns.text()?)?,
        archived: columns.flag()?,
        expires_at: columns.optional_time()?,
    })
}

/// Reads one.
#[derive(Debug)]
pub(crate) struct ReadConversation {
    pub(crate) scope: Scope,
    pub(crate) id: ConversationId,
}

impl ReadConversation {
    /// The conversation with its number in this file.
    async fn find(
        &self,
        connection: &mut SqliteConnection,
    ) -> EngineResult<Option<(i64, Conversation)>> {
        let row = sqlx::query(concat!(
            "SELECT c.pk, ",
            columns!(),
            " FROM scopes s JOIN conversations c ON c.scope = s.pk AND c.id = $3
              WHERE s.tenant = $1 AND s.user = $2"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.id.as_str())
        .fetch_optional(connection)
        .await?;
        row.as_ref()
            .map(|row: &SqliteRow| {
                let mut columns = Columns::of(row);
                Ok((columns.integer()?, conversation_of(&mut columns)?))
            })
            .transpose()
    }
}

#[async_trait]
impl Read for ReadConversation {
    type Output = Option<Conversation>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        Ok(self.find(connection).await?.map(|(_, conversation)| conversation))
    }
}

/// Lists a page.
#[derive(Debug)]
pub(crate) struct ListConversations {
    pub(crate) scope: Scope,
    pub(crate) query: ConversationQuery,
}

#[async_trait]
impl Read for ListConversations {
    type Output = ConversationPage;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let limit = page_rows(self.query.limit);
        let after = self.query.after.as_ref();
        // SQLite's lower() and instr() fold ASCII only, which is what the port asks for.
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM scopes s JOIN conversations c ON c.scope = s.pk
              WHERE s.tenant = $1 AND s.user = $2 AND c.archived = $3
                AND (c.updated_at, c.id) < ($4, $5)
                AND ($6 IS NULL OR instr(lower(c.title), lower($6)) > 0)
              ORDER BY c.updated_at DESC, c.id DESC LIMIT $7"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.query.archived)
        .bind(after.map_or(i64::MAX, |cursor| cursor.updated_at.unix_ms()))
        // Beyond every id: '~' is above all characters an id may have.
        .bind(after.map_or("~", |cursor| cursor.id.as_str()))
        .bind(self.query.title_contains.as_deref())
        .bind(limit.saturating_add(1))
        .fetch_all(connection)
        .await?;
        let page_len = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_cut = rows.len() > page_len;
        let conversations = rows
            .iter()
            .take(page_len)
            .map(|row| conversation_of(&mut Columns::of(row)))
            .collect::<EngineResult<Vec<_>>>()?;
        let next = conversations
            .last()
            .filter(|_| is_cut)
            .map(|last| ConversationCursor { updated_at: last.updated_at, id: last.id.clone() });
        Ok(ConversationPage { conversations, next })
    }
}

/// Reads all conversations of all scopes, page by page.
#[derive(Debug)]
pub(crate) struct ScanConversations {
    pub(crate) after: Option<(Scope, ConversationId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanConversations {
    type Output = Vec<(Scope, Conversation)>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all. The rest of one scope, then later ones.
        let (tenant, user, id) = match &self.after {
            Some((scope, id)) => (scope.tenant.as_str(), scope.user.as_str(), id.as_str()),
            None => ("", "", ""),
        };
        let rows = sqlx::query(concat!(
            "SELECT * FROM (SELECT s.tenant, s.user, ",
            columns!(),
            " FROM scopes s JOIN conversations c ON c.scope = s.pk
              WHERE s.tenant = $1 AND s.user = $2 AND c.id > $3 ORDER BY c.id LIMIT $4)
             UNION ALL SELECT * FROM (SELECT s.tenant, s.user, ",
            columns!(),
            " FROM scopes s CROSS JOIN conversations c ON c.scope = s.pk
              WHERE (s.tenant, s.user) > ($1, $2) ORDER BY s.tenant, s.user, c.id LIMIT $4)
             ORDER BY 1, 2, 3 LIMIT $4"
        ))
        .bind(tenant)
        .bind(user)
        .bind(id)
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                let scope = Scope::new(columns.parsed()?, columns.parsed()?);
                Ok((scope, conversation_of(&mut columns)?))
            })
            .collect()
    }
}

/// Changes one.
#[derive(Debug)]
pub(crate) struct PatchConversation {
    pub(crate) scope: Scope,
    pub(crate) id: ConversationId,
    pub(crate) patch: ConversationPatch,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Write for PatchConversation {
    type Output = Result<Conversation>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        const OPERATION: &str = "patch conversation";
        let find = ReadConversation { scope: self.scope.clone(), id: self.id.clone() };
        let Some((pk, mut conversation)) = find.find(connection).await? else {
            let detail = format!("there is no conversation {}", self.id);
            return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
        };
        if let Change::Set(head) = &self.patch.head {
            let found = sqlx::query("SELECT pk FROM messages WHERE conversation = $1 AND id = $2")
                .bind(pk)
                .bind(head.as_str())
                .fetch_optional(&mut *connection)
                .await?;
            if found.is_none() {
                let detail = format!("message {head} is not in conversation {}", self.id);
                return Ok(refused(PersistErrorKind::ParentMissing, OPERATION, detail));
            }
        }
        if !self.patch.is_empty() {
            self.patch.apply(&mut conversation, self.now);
            update(connection, pk, &conversation).await?;
        }
        Ok(Ok(conversation))
    }
}

async fn update(
    connection: &mut SqliteConnection,
    pk: i64,
    conversation: &Conversation,
) -> EngineResult<()> {
    sqlx::query(
        "UPDATE conversations SET title = $2, updated_at = $3, head = $4, model = $5,
                instructions = $6, options = $7, archived = $8, expires_at = $9 WHERE pk = $1",
    )
    .bind(pk)
    .bind(conversation.title.as_str())
    .bind(conversation.updated_at.unix_ms())
    .bind(conversation.head.as_ref().map(|head| head.as_str()))
    .bind(conversation.model.as_ref().map(ModelRef::to_string))
    .bind(conversation.instructions.as_deref())
    .bind(options_record(&conversation.options)?)
    .bind(conversation.archived)
    .bind(conversation.expires_at.map(Timestamp::unix_ms))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a new one with a number chosen by the caller.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    scope: i64,
    pk: i64,
    conversation: &Conversation,
) -> EngineResult<()> {
    sqlx::query(
        "INSERT INTO conversations (pk, scope, id, title, created_at, updated_at, head, model,
                instructions, options, archived, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(pk)
    .bind(scope)
    .bind(conversation.id.as_str())
    .bind(conversation.title.as_str())
    .bind(conversation.created_at.unix_ms())
    .bind(conversation.updated_at.unix_ms())
    .bind(conversation.head.as_ref().map(|head| head.as_str()))
    .bind(conversation.model.as_ref().map(ModelRef::to_string))
    .bind(conversation.instructions.as_deref())
    .bind(options_record(&conversation.options)?)
    .bind(conversation.archived)
    .bind(conversation.expires_at.map(Timestamp::unix_ms))
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes one with everything that belongs to it.
#[derive(Debug)]
pub(crate) struct DeleteConversation {
    pub(crate) scope: Scope,
    pub(crate) id: ConversationId,
}

#[async_trait]
impl Write for DeleteConversation {
    type Output = Result<bool>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let row = sqlx::query(concat!(
            "SELECT c.pk, ",
            is_busy!(),
            " FROM scopes s JOIN conversations c ON c.scope = s.pk AND c.id = $3
              WHERE s.tenant = $1 AND s.user = $2"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            return Ok(Ok(false));
        };
        let mut columns = Columns::of(&row);
        let (pk, is_busy) = (columns.integer()?, columns.flag()?);
        if is_busy {
            let detail =
                format!("a turn of conversation {} is running or not yet settled", self.id);
            return Ok(refused(PersistErrorKind::Conflict, "delete conversation", detail));
        }
        remove(connection, pk).await?;
        Ok(Ok(true))
    }
}

/// Removes conversation number `pk`: children before what they refer to.
async fn remove(connection: &mut SqliteConnection, pk: i64) -> EngineResult<()> {
    sqlx::query(
        "DELETE FROM event_segments WHERE turn IN (SELECT pk FROM turns WHERE conversation = $1);
         DELETE FROM steps WHERE turn IN (SELECT pk FROM turns WHERE conversation = $1);
         DELETE FROM turns WHERE conversation = $1;
         DELETE FROM messages WHERE conversation = $1;
         DELETE FROM conversations WHERE pk = $1",
    )
    .bind(pk)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to `limit` conversations whose time was over at `now`; returns how many.
pub(crate) async fn sweep(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: i64,
) -> EngineResult<u64> {
    let rows = sqlx::query(concat!(
        "SELECT c.pk FROM conversations c WHERE c.expires_at IS NOT NULL AND c.expires_at <= $1
           AND NOT ",
        is_busy!(),
        " ORDER BY c.expires_at LIMIT $2"
    ))
    .bind(now.unix_ms())
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        remove(connection, Columns::of(row).integer()?).await?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}
