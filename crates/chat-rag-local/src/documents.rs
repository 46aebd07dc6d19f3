//! What is known of documents, and their removal.

use async_trait::async_trait;
use chat_rag::DocumentInfo;
use chat_types::{ContentHash, FileId, Scope, Timestamp};
use sqlx::SqliteConnection;

use crate::engine::Work;
use crate::error::EngineResult;
use crate::row::Columns;

/// The most documents of one page.
const PAGE_MAX: u32 = 1_000;

/// The columns that [`info_of`] reads, of table `d`.
macro_rules! columns {
    () => {
        "d.id, d.collection, d.name, d.media_type, d.content, d.text_bytes, d.chunks, \
         d.embedding, d.added_at"
    };
}

fn info_of(columns: &mut Columns<'_>) -> EngineResult<DocumentInfo> {
    Ok(DocumentInfo {
        id: columns.parsed()?,
        collection: columns.optional_parsed()?,
        name: columns.text()?.to_owned(),
        media_type: columns.text()?.to_owned(),
        content: ContentHash::from_stored(columns.text()?.to_owned()),
        text_bytes: columns.unsigned()?,
        chunks: columns.small()?,
        embedding: columns.optional_text()?.map(str::to_owned),
        added_at: Timestamp::from_unix_ms(columns.integer()?),
    })
}

/// One page of an owner's documents.
pub(crate) struct ListDocuments {
    pub(crate) scope: Scope,
    pub(crate) after: Option<FileId>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for ListDocuments {
    type Output = Vec<DocumentInfo>;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let limit = if self.limit == 0 { PAGE_MAX } else { self.limit.min(PAGE_MAX) };
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM owners o JOIN documents d ON d.owner = o.pk
              WHERE o.tenant = $1 AND o.user = $2 AND d.id > $3 ORDER BY d.id LIMIT $4"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        // No id is empty, so the empty one is before all.
        .bind(self.after.as_ref().map_or("", FileId::as_str))
        .bind(limit)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| info_of(&mut Columns::of(row))).collect()
    }
}

/// One document, and how it was split.
pub(crate) struct KnownDocument {
    pub(crate) scope: Scope,
    pub(crate) id: FileId,
}

#[async_trait]
impl Work for KnownDocument {
    type Output = Option<(DocumentInfo, String)>;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", d.chunked_by FROM owners o JOIN documents d ON d.owner = o.pk
              WHERE o.tenant = $1 AND o.user = $2 AND d.id = $3"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(self.id.as_str())
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = Columns::of(&row);
        let info = info_of(&mut columns)?;
        Ok(Some((info, columns.text()?.to_owned())))
    }
}

/// Removes a document; whether it was there.
pub(crate) struct RemoveDocument {
    pub(crate) scope: Scope,
    pub(crate) id: FileId,
}

#[async_trait]
impl Work for RemoveDocument {
    type Output = bool;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        erase(connection, &self.scope, &self.id).await
    }
}

/// Takes a document and all that hangs on it out of the index, within the caller's transaction.
pub(crate) async fn erase(
    connection: &mut SqliteConnection,
    scope: &Scope,
    id: &FileId,
) -> EngineResult<bool> {
    let row = sqlx::query(
        "SELECT d.pk, d.owner, d.first_chunk, d.chunks
           FROM owners o JOIN documents d ON d.owner = o.pk
          WHERE o.tenant = $1 AND o.user = $2 AND d.id = $3",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let mut columns = Columns::of(&row);
    let (document, owner) = (columns.integer()?, columns.integer()?);
    let (first, chunks) = (columns.integer()?, columns.integer()?);
    let end = first.saturating_add(chunks);
    for statement in [
        "DELETE FROM words WHERE rowid >= $1 AND rowid < $2",
        "DELETE FROM chunks WHERE pk >= $1 AND pk < $2",
    ] {
        sqlx::query(statement).bind(first).bind(end).execute(&mut *connection).await?;
    }
    for statement in
        ["DELETE FROM vectors WHERE document = $1", "DELETE FROM documents WHERE pk = $1"]
    {
        sqlx::query(statement).bind(document).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE owners SET version = version + 1, chunks = chunks - $2 WHERE pk = $1")
        .bind(owner)
        .bind(chunks)
        .execute(connection)
        .await?;
    Ok(true)
}
