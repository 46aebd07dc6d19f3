//! What is known of documents, and their removal.

use async_trait::async_trait;
use chat_rag::DocumentInfo;
use chat_types::{ContentHash, FileId, Scope};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::row::Columns;
use crate::runner::{Read, Write};
use crate::session::Session;

/// The most documents of one page.
const PAGE_MAX: u32 = 1_000;

/// The columns that [`info_of`] reads, of tables `d` and `s`.
macro_rules! columns {
    () => {
        "d.id, d.collection, d.name, d.media_type, d.content, d.text_bytes, d.chunks, s.model, \
         d.added_at"
    };
}

fn info_of(columns: &mut Columns<'_>) -> EngineResult<DocumentInfo> {
    Ok(DocumentInfo {
        id: columns.parsed()?,
        collection: columns.optional_parsed()?,
        name: columns.text()?.to_owned(),
        media_type: columns.escaped()?,
        content: ContentHash::from_stored(columns.escaped()?),
        text_bytes: columns.unsigned()?,
        chunks: columns.small()?,
        embedding: Some(columns.text()?.to_owned()),
        added_at: columns.time()?,
    })
}

/// One page of an owner's documents.
pub(crate) struct ListDocuments {
    pub(crate) scope: Scope,
    pub(crate) after: Option<FileId>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ListDocuments {
    type Output = Vec<DocumentInfo>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let limit = if self.limit == 0 { PAGE_MAX } else { self.limit.min(PAGE_MAX) };
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM rag_owners o
              JOIN rag_documents d ON d.owner = o.pk JOIN rag_spaces s ON s.pk = d.space
              WHERE o.tenant = $1 AND o.user_id = $2 AND d.id > $3 ORDER BY d.id LIMIT $4"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        // No id is empty, so the empty one is before all.
        .bind(self.after.as_ref().map_or("", FileId::as_str))
        .bind(i64::from(limit))
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
impl Read for KnownDocument {
    type Output = Option<(DocumentInfo, String)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let row = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", d.chunked_by FROM rag_owners o
              JOIN rag_documents d ON d.owner = o.pk JOIN rag_spaces s ON s.pk = d.space
              WHERE o.tenant = $1 AND o.user_id = $2 AND d.id = $3"
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
impl Write for RemoveDocument {
    type Output = bool;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let was_there = erase(session.alone(), &self.scope, &self.id).await?;
        // An earlier run may have done it without an answer.
        Ok(was_there || session.is_repeat())
    }
}

/// Takes a document out of the index; its chunks go with it.
pub(crate) async fn erase(
    connection: &mut PgConnection,
    scope: &Scope,
    id: &FileId,
) -> EngineResult<bool> {
    let erased = sqlx::query(
        "DELETE FROM rag_documents d USING rag_owners o
          WHERE o.tenant = $1 AND o.user_id = $2 AND d.owner = o.pk AND d.id = $3",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.user.as_str())
    .bind(id.as_str())
    .execute(connection)
    .await?;
    Ok(erased.rows_affected() > 0)
}
