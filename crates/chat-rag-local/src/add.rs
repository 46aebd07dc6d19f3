//! A document goes in: everything is made first, then written in one transaction.

use async_trait::async_trait;
use chat_rag::{AddOutcome, Chunk, Document, terms};
use chat_types::{CollectionId, Scope};
use serde::Serialize;
use sqlx::{Row as _, SqliteConnection};

use crate::documents::erase;
use crate::engine::Work;
use crate::error::EngineResult;
use crate::row::{encode, stored};

/// Chunks per statement: the rows of one JSON list, some hundred kilobytes.
const ROWS_PER_STATEMENT: usize = 500;

/// The word that stands for an owner in the word lists.
pub(crate) fn owner_word(owner: i64) -> String {
    format!("o{owner}")
}

/// Writes a document in place of an earlier version.
pub(crate) struct StoreDocument {
    pub(crate) scope: Scope,
    /// Its text is not stored as a whole; it stands in the chunks.
    pub(crate) document: Document,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) chunked_by: String,
    /// The embedding model and the packed vectors.
    pub(crate) embedded: Option<(String, Vec<u8>)>,
}

#[derive(Serialize)]
struct ChunkRow<'a> {
    pk: i64,
    number: u32,
    text: &'a str,
    heading: &'a str,
    first_byte: i64,
    end_byte: i64,
    first_line: u32,
    last_line: u32,
}

#[derive(Serialize)]
struct WordsRow {
    pk: i64,
    heading: String,
    body: String,
}

#[async_trait]
impl Work for StoreDocument {
    type Output = AddOutcome;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let replaced = erase(connection, &self.scope, &self.document.id).await?;
        let chunks = stored(self.chunks.len());
        let row = sqlx::query(
            "INSERT INTO owners (tenant, user, version, chunks) VALUES ($1, $2, 1, $3)
             ON CONFLICT (tenant, user)
             DO UPDATE SET version = version + 1, chunks = chunks + excluded.chunks
             RETURNING pk, (SELECT coalesce(max(pk), 0) + 1 FROM chunks)",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(chunks)
        .fetch_one(&mut *connection)
        .await?;
        let (owner, first): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let document = self.insert_document(connection, owner, first).await?;
        for (part, first) in self
            .chunks
            .chunks(ROWS_PER_STATEMENT)
            .zip((0_usize..).map(|part| first.saturating_add(stored(part * ROWS_PER_STATEMENT))))
        {
            insert_chunks(connection, document, part, first).await?;
            insert_words(connection, owner, part, first).await?;
        }
        if let Some((_, codes)) = &self.embedded {
            sqlx::query("INSERT INTO vectors (document, codes) VALUES ($1, $2)")
                .bind(document)
                .bind(codes.as_slice())
                .execute(connection)
                .await?;
        }
        Ok(if replaced { AddOutcome::Replaced } else { AddOutcome::New })
    }
}

impl StoreDocument {
    async fn insert_document(
        &self,
        connection: &mut SqliteConnection,
        owner: i64,
        first_chunk: i64,
    ) -> EngineResult<i64> {
        let document = &self.document;
        let row = sqlx::query(
            "INSERT INTO documents (owner, id, collection, name, media_type, content, text_bytes,
                                    first_chunk, chunks, chunked_by, embedding, added_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING pk",
        )
        .bind(owner)
        .bind(document.id.as_str())
        .bind(document.collection.as_ref().map(CollectionId::as_str))
        .bind(&document.name)
        .bind(&document.media_type)
        .bind(document.content.as_str())
        .bind(stored(document.text.len()))
        .bind(first_chunk)
        .bind(stored(self.chunks.len()))
        .bind(&self.chunked_by)
        .bind(self.embedded.as_ref().map(|(model, _)| model))
        .bind(document.added_at.unix_ms())
        .fetch_one(connection)
        .await?;
        Ok(row.try_get(0)?)
    }
}

async fn insert_chunks(
    connection: &mut SqliteConnection,
    document: i64,
    chunks: &[Chunk],
    first: i64,
) -> EngineResult<()> {
    let row = |(chunk, pk)| {
        let chunk: &Chunk = chunk;
        let (first_byte, end_byte) = chunk.location.bytes.unwrap_or_default();
        let (first_line, last_line) = chunk.location.lines.unwrap_or_default();
        ChunkRow {
            pk,
            number: chunk.number,
            text: &chunk.text,
            heading: &chunk.heading,
            first_byte: stored(first_byte),
            end_byte: stored(end_byte),
            first_line,
            last_line,
        }
    };
    let rows: Vec<ChunkRow<'_>> = chunks.iter().zip(first..).map(row).collect();
    sqlx::query(
        "INSERT INTO chunks (pk, document, number, text, heading, first_byte, end_byte,
                             first_line, last_line)
         SELECT value ->> 'pk', $1, value ->> 'number', value ->> 'text', value ->> 'heading',
                value ->> 'first_byte', value ->> 'end_byte', value ->> 'first_line',
                value ->> 'last_line'
           FROM json_each($2)",
    )
    .bind(document)
    .bind(encode(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_words(
    connection: &mut SqliteConnection,
    owner: i64,
    chunks: &[Chunk],
    first: i64,
) -> EngineResult<()> {
    let row = |(chunk, pk)| {
        let chunk: &Chunk = chunk;
        WordsRow {
            pk,
            heading: terms(&chunk.heading).join(" "),
            body: terms(&chunk.text).join(" "),
        }
    };
    let rows: Vec<WordsRow> = chunks.iter().zip(first..).map(row).collect();
    sqlx::query(
        "INSERT INTO words (rowid, owner, heading, body)
         SELECT value ->> 'pk', $1, value ->> 'heading', value ->> 'body' FROM json_each($2)",
    )
    .bind(owner_word(owner))
    .bind(encode(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}
