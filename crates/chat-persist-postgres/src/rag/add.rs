//! A document goes in: everything is made first, then written in one transaction.

use std::fmt::Write as _;

use async_trait::async_trait;
use chat_rag::{AddOutcome, Chunk, Document, stem, terms};
use chat_types::{CollectionId, Scope};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::error::EngineResult;
use crate::escape::escape;
use crate::rag::documents::erase;
use crate::rag::schema::Place;
use crate::runner::Write;
use crate::session::Session;

/// Chunks per statement: some megabytes of text and vectors.
const ROWS_PER_STATEMENT: usize = 200;

/// The longest list of words of one chunk that the engine takes is 1 MiB; a chunk has 4 KiB.
const WORDS_PER_CHUNK_MAX: usize = 4_096;

/// The word that stands for an owner in the word lists.
pub(crate) fn owner_word(owner: i64) -> String {
    format!("o{owner}")
}

/// Writes a document in place of an earlier version.
pub(crate) struct StoreDocument {
    pub(crate) place: Place,
    pub(crate) scope: Scope,
    pub(crate) document: Document,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) chunked_by: String,
}

#[async_trait]
impl Write for StoreDocument {
    type Output = AddOutcome;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        // Holds the owner's row: additions of one owner take turns.
        let row = sqlx::query(
            "INSERT INTO rag_owners (tenant, user_id) VALUES ($1, $2)
             ON CONFLICT (tenant, user_id) DO UPDATE SET tenant = excluded.tenant RETURNING pk",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .fetch_one(&mut *connection)
        .await?;
        let owner: i64 = row.try_get(0)?;
        let replaced = erase(connection, &self.scope, &self.document.id).await?;
        let document = self.insert_document(connection, owner).await?;
        let vectors = self.vectors.chunks(ROWS_PER_STATEMENT);
        for (chunks, vectors) in self.chunks.chunks(ROWS_PER_STATEMENT).zip(vectors) {
            self.insert_chunks(connection, (owner, document), chunks, vectors).await?;
        }
        Ok(if replaced { AddOutcome::Replaced } else { AddOutcome::New })
    }
}

impl StoreDocument {
    async fn insert_document(
        &self,
        connection: &mut PgConnection,
        owner: i64,
    ) -> EngineResult<i64> {
        let document = &self.document;
        let row = sqlx::query(
            "INSERT INTO rag_documents (owner, id, collection, name, media_type, content,
                    text_bytes, chunks, chunked_by, space, added_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING pk",
        )
        .bind(owner)
        .bind(document.id.as_str())
        .bind(document.collection.as_ref().map(CollectionId::as_str))
        .bind(&document.name)
        .bind(escape(&document.media_type).into_owned())
        .bind(escape(document.content.as_str()).into_owned())
        .bind(count(document.text.len()))
        .bind(count(self.chunks.len()))
        .bind(&self.chunked_by)
        .bind(self.place.space)
        .bind(document.added_at.unix_ms())
        .fetch_one(connection)
        .await?;
        Ok(row.try_get(0)?)
    }

    async fn insert_chunks(
        &self,
        connection: &mut PgConnection,
        (owner, document): (i64, i64),
        chunks: &[Chunk],
        vectors: &[Vec<f32>],
    ) -> EngineResult<()> {
        let Place { vector, .. } = &self.place;
        // A checked name is all that is put in.
        let insert = format!(
            "INSERT INTO rag_chunks (owner, document, space, number, text, heading, first_byte,
                    end_byte, first_line, last_line, words, embedding)
             SELECT $1, $2, $3, new.number, new.text, new.heading, new.first_byte, new.end_byte,
                    new.first_line, new.last_line, array_to_tsvector(string_to_array(new.words, ' ')),
                    new.embedding::{vector}.VECTOR
               FROM unnest($4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[], $8::BIGINT[],
                    $9::BIGINT[], $10::BIGINT[], $11::TEXT[], $12::TEXT[])
                 AS new (number, text, heading, first_byte, end_byte, first_line, last_line, words,
                         embedding)"
        );
        let numbers = |number: fn(&Chunk) -> i64| chunks.iter().map(number).collect::<Vec<i64>>();
        let words = chunks.iter().map(|chunk| words_of(chunk, owner)).collect::<Vec<String>>();
        sqlx::query(AssertSqlSafe(insert))
            .bind(owner)
            .bind(document)
            .bind(self.place.space)
            .bind(numbers(|chunk| i64::from(chunk.number)))
            .bind(chunks.iter().map(|chunk| chunk.text.as_str()).collect::<Vec<&str>>())
            .bind(chunks.iter().map(|chunk| chunk.heading.as_str()).collect::<Vec<&str>>())
            .bind(numbers(|chunk| chunk.location.bytes.map_or(0, |(first, _)| count(first))))
            .bind(numbers(|chunk| chunk.location.bytes.map_or(0, |(_, end)| count(end))))
            .bind(numbers(|chunk| chunk.location.lines.map_or(0, |(first, _)| i64::from(first))))
            .bind(numbers(|chunk| chunk.location.lines.map_or(0, |(_, last)| i64::from(last))))
            .bind(words)
            .bind(vectors.iter().map(|vector| vector_text(vector)).collect::<Vec<String>>())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// The distinct stems of a chunk and its headings, and its owner, with a space between.
fn words_of(chunk: &Chunk, owner: i64) -> String {
    let mut words: Vec<String> = terms(&chunk.text_to_embed())
        .iter()
        .take(WORDS_PER_CHUNK_MAX)
        .map(|term| stem(term).to_owned())
        .collect();
    words.push(owner_word(owner));
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// A vector as the extension reads it.
pub(crate) fn vector_text(vector: &[f32]) -> String {
    let mut text = String::with_capacity(vector.len().saturating_mul(12));
    for (place, value) in vector.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{value}", if place == 0 { "[" } else { "," });
    }
    text.push(']');
    text
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
