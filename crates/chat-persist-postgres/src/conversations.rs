//! Conversations: read, list, change, delete.

use async_trait::async_trait;
use chat_persist::stored::{options_of, options_record};
use chat_persist::{
    ConversationCursor, ConversationPage, ConversationQuery, PersistErrorKind, Result,
};
use chat_types::{
    Change, Conversation, ConversationId, ConversationPatch, ModelRef, Scope, Timestamp,
};
use sqlx::PgConnection;

use crate::error::{EngineResult, Failure};
use crate::escape::escape;
use crate::refusal::{page_rows, refused};
use crate::row::Columns;
use crate::runner::{Read, Write};
use crate::session::Session;

/// The columns `conversation_of` reads, in its order.
macro_rules! columns {
    () => {
        "c.id, c.title, c.created_at, c.updated_at, c.head, c.model, c.instructions, c.options, \
         c.archived, c.expires_at"
    };
}

/// Finds conversation `$3` of the scope `$1`, `$2`.
macro_rules! find {
    ($lock:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM conversations c WHERE c.tenant = $1 AND c.user_id = $2 AND c.id = $3",
            $lock
        )
    };
}

fn conversation_of(columns: &mut Columns<'_>) -> EngineResult<Conversation> {
    Ok(Conversation {
        id: columns.parsed()?,
        title: columns.escaped()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        head: columns.optional_parsed()?,
        model: columns.optional_parsed()?,
        instructions: columns.optional_escaped()?,
        options: options_of(columns.text()?)?,
        archived: columns.flag()?,
        expires_at: columns.optional_time()?,
    })
}

async fn read(
    connection: &mut PgConnection,
    query: &'static str,
    scope: &Scope,
    id: &ConversationId,
) -> EngineResult<Option<Conversation>> {
    let row = sqlx::query(query)
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(|row| conversation_of(&mut Columns::of(row))).transpose()
}

/// Reads one.
#[derive(Debug)]
pub(crate) struct ReadConversation {
    pub(crate) scope: Scope,
    pub(crate) id: ConversationId,
}

#[async_trait]
impl Read for ReadConversation {
    type Output = Option<Conversation>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        read(connection, find!(""), &self.scope, &self.id).await
    }
}

/// Locks one, so that its messages and turns stay as they are; whether it is there.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    scope: &Scope,
    id: &ConversationId,
) -> EngineResult<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM conversations c WHERE c.tenant = $1 AND c.user_id = $2 AND c.id = $3
            FOR NO KEY UPDATE",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
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

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let limit = page_rows(self.query.limit);
        let after = self.query.after.as_ref();
        // In the collation "C" lower() folds ASCII only, which is what the port asks for.
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM conversations c
              WHERE c.tenant = $1 AND c.user_id = $2 AND c.archived = $3
                AND (c.updated_at, c.id) < ($4, $5)
                AND ($6::TEXT IS NULL
                    OR position(lower($6::TEXT COLLATE \"C\") IN lower(c.title)) > 0)
              ORDER BY c.updated_at DESC, c.id DESC LIMIT $7"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.query.archived)
        .bind(after.map_or(i64::MAX, |cursor| cursor.updated_at.unix_ms()))
        // Beyond every id: '~' is above all characters an id may have.
        .bind(after.map_or("~", |cursor| cursor.id.as_str()))
        .bind(self.query.title_contains.as_deref().map(escape))
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        const OPERATION: &str = "patch conversation";
        let connection = session.begin().await?;
        let found = read(connection, find!(" FOR NO KEY UPDATE"), &self.scope, &self.id).await?;
        let Some(mut conversation) = found else {
            let detail = format!("there is no conversation {}", self.id);
            return Ok(refused(PersistErrorKind::NotFound, OPERATION, detail));
        };
        if let Change::Set(head) = &self.patch.head {
            let found = sqlx::query(
                "SELECT 1 FROM messages m WHERE m.tenant = $1 AND m.user_id = $2 AND m.id = $3
                    AND m.conversation || '' = $4",
            )
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .bind(head.as_str())
            .bind(self.id.as_str())
            .fetch_optional(&mut *connection)
            .await?;
            if found.is_none() {
                let detail = format!("message {head} is not in conversation {}", self.id);
                return Ok(refused(PersistErrorKind::ParentMissing, OPERATION, detail));
            }
        }
        if !self.patch.is_empty() {
            self.patch.apply(&mut conversation, self.now);
            let program = "UPDATE conversations SET title = $4, created_at = $5, updated_at = $6,
                    head = $7, model = $8, instructions = $9, options = $10, archived = $11,
                    expires_at = $12 WHERE tenant = $1 AND user_id = $2 AND id = $3";
            save(connection, program, &self.scope, &conversation).await?;
        }
        Ok(Ok(conversation))
    }
}

/// Writes a new one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    scope: &Scope,
    conversation: &Conversation,
) -> EngineResult<()> {
    let program = "INSERT INTO conversations (tenant, user_id, id, title, created_at, updated_at,
            head, model, instructions, options, archived, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    save(connection, program, scope, conversation).await
}

async fn save(
    connection: &mut PgConnection,
    program: &'static str,
    scope: &Scope,
    conversation: &Conversation,
) -> EngineResult<()> {
    sqlx::query(program)
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(conversation.id.as_str())
        .bind(escape(&conversation.title)) // 4
        .bind(conversation.created_at.unix_ms())
        .bind(conversation.updated_at.unix_ms())
        .bind(conversation.head.as_ref().map(|head| head.as_str()))
        .bind(conversation.model.as_ref().map(ModelRef::to_string)) // 8
        .bind(conversation.instructions.as_deref().map(escape))
        .bind(options_record(&conversation.options)?)
        .bind(conversation.archived)
        .bind(conversation.expires_at.map(Timestamp::unix_ms))
        .execute(connection)
        .await?;
    Ok(())
}

/// What became of a conversation that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    Deleted,
    None,
    Busy,
}

/// Deletes one; if `expired_at` is given, only if its time was over then.
async fn delete(
    connection: &mut PgConnection,
    [tenant, user, id]: [&str; 3],
    expired_at: Option<Timestamp>,
) -> EngineResult<Deletion> {
    let row = sqlx::query("SELECT delete_conversation($1, $2, $3, $4)")
        .bind(tenant)
        .bind(user)
        .bind(id)
        .bind(expired_at.map(Timestamp::unix_ms))
        .fetch_one(connection)
        .await?;
    match Columns::of(&row).text()? {
        "deleted" => Ok(Deletion::Deleted),
        "none" => Ok(Deletion::None),
        "busy" => Ok(Deletion::Busy),
        _ => Err(Failure::corrupt("the schema's function delete_conversation is another one")),
    }
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

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let key = [self.scope.tenant.as_str(), self.scope.user.as_str(), self.id.as_str()];
        match delete(session.alone(), key, None).await? {
            Deletion::Deleted => Ok(Ok(true)),
            // If an earlier run has deleted it, that run's answer was lost.
            Deletion::None => Ok(Ok(session.is_repeat())),
            Deletion::Busy => {
                let detail =
                    format!("a turn of conversation {} is running or not yet settled", self.id);
                Ok(refused(PersistErrorKind::Conflict, "delete conversation", detail))
            }
        }
    }
}

/// Deletes up to `limit` conversations whose time was over at `now`, each in a commit of its own;
/// returns how many.
pub(crate) async fn sweep(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> EngineResult<u64> {
    let rows = sqlx::query(
        "SELECT c.tenant, c.user_id, c.id FROM conversations c
          WHERE c.expires_at IS NOT NULL AND c.expires_at <= $1 AND NOT EXISTS
            (SELECT 1 FROM turns t WHERE t.tenant = c.tenant AND t.user_id = c.user_id
                AND t.conversation = c.id AND (t.closed_at IS NULL OR EXISTS
                    (SELECT 1 FROM steps p WHERE p.tenant = t.tenant AND p.turn = t.id
                        AND p.state = 'settling')))
          ORDER BY c.expires_at LIMIT $2",
    )
    .bind(now.unix_ms())
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut deleted: u64 = 0;
    for row in &rows {
        let mut columns = Columns::of(row);
        let key = [columns.text()?, columns.text()?, columns.text()?];
        if delete(connection, key, Some(now)).await? == Deletion::Deleted {
            deleted = deleted.saturating_add(1);
        }
    }
    Ok(deleted)
}

/// Reads all conversations of all scopes, page by page.
pub(crate) struct ScanConversations {
    pub(crate) after: Option<(Scope, ConversationId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanConversations {
    type Output = Vec<(Scope, Conversation)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, user, id) = match &self.after {
            Some((scope, id)) => (scope.tenant.as_str(), scope.user.as_str(), id.as_str()),
            None => ("", "", ""),
        };
        let rows = sqlx::query(concat!(
            "SELECT c.tenant, c.user_id, ",
            columns!(),
            " FROM conversations c WHERE (c.tenant, c.user_id, c.id) > ($1, $2, $3)
              ORDER BY c.tenant, c.user_id, c.id LIMIT $4"
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
