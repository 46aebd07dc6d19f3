//! A search: words and vectors of the owner's chunks, fused.
//!
//! The owner is part of every statement, and a word of every chunk. Vectors of an owner with few
//! chunks are compared one by one, which is exact; of one with many through the graph of the space,
//! which goes on until enough of the owner's are found.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chat_rag::{
    Location, RetrievalRequest, Snippet, SnippetId, TermWeights, fuse, relevance, stem,
};
use chat_types::{CollectionId, FileId};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::error::EngineResult;
use crate::rag::add::{owner_word, vector_text};
use crate::rag::schema::Place;
use crate::row::Columns;
use crate::runner::Write;
use crate::session::Session;

/// How many of each list are fused, times the snippets wanted.
const CANDIDATES_PER_SNIPPET: u32 = 4;

/// Fewest candidates of each list: what one list ranks low the other may lift.
const CANDIDATES_MIN: u32 = 40;

/// A word in more of the owner's chunks than this says nothing; it is left out of the ranking when
/// rarer ones are there, which also bounds the work of a search.
const COMMON_CHUNKS: i64 = 10_000;

/// Up to so many chunks of an owner are compared one by one: some tens of milliseconds.
const EXACT_CHUNKS_MAX: i64 = 20_000;

/// The store forbids its connections what its own queries never need. A search needs word lists
/// (read by bitmap) and an order by score; the graph goes on where the owner's are rare.
const SETTINGS: &str = "SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on;
    SET LOCAL enable_hashjoin = on; SET LOCAL hnsw.iterative_scan = strict_order;
    SET LOCAL hnsw.ef_search = 100";

/// A search is a transaction for the sake of its settings; it writes nothing.
pub(crate) struct Search {
    pub(crate) place: Place,
    pub(crate) request: RetrievalRequest,
    pub(crate) words: Vec<String>,
    pub(crate) query: Vec<f32>,
}

#[async_trait]
impl Write for Search {
    type Output = Vec<Snippet>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        sqlx::raw_sql(SETTINGS).execute(&mut *connection).await?;
        let scope = &self.request.scope;
        let row = sqlx::query(
            "SELECT o.pk, (SELECT coalesce(sum(d.chunks), 0)::BIGINT FROM rag_documents d
                            WHERE d.owner = o.pk)
               FROM rag_owners o WHERE o.tenant = $1 AND o.user_id = $2",
        )
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let (owner, chunks): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let allowed = self.allowed(connection, owner).await?;
        let (weights, by_words) = self.by_words(connection, owner, chunks, &allowed).await?;
        let nearest = self.nearest(connection, owner, chunks, &allowed).await?;
        let limit = usize::try_from(self.request.limit).unwrap_or(usize::MAX);
        let fused: Vec<i64> =
            fuse(&[by_words, nearest]).into_iter().take(limit).map(|(chunk, _)| chunk).collect();
        self.snippets(connection, owner, &fused, &weights).await
    }
}

/// Keys of the documents that may answer; none: all of the owner's.
type Allowed = Option<Vec<i64>>;

impl Search {
    fn depth(&self) -> i64 {
        i64::from(self.request.limit.saturating_mul(CANDIDATES_PER_SNIPPET).max(CANDIDATES_MIN))
    }

    async fn allowed(&self, connection: &mut PgConnection, owner: i64) -> EngineResult<Allowed> {
        let filter = &self.request.filter;
        if filter.documents.is_none() && filter.collections.is_none() {
            return Ok(None);
        }
        let documents: Option<Vec<&str>> =
            filter.documents.as_ref().map(|ids| ids.iter().map(FileId::as_str).collect());
        let collections: Option<Vec<&str>> =
            filter.collections.as_ref().map(|ids| ids.iter().map(CollectionId::as_str).collect());
        let rows = sqlx::query(
            "SELECT pk FROM rag_documents WHERE owner = $1
                AND ($2::TEXT[] IS NULL OR id = ANY ($2))
                AND ($3::TEXT[] IS NULL OR collection = ANY ($3))",
        )
        .bind(owner)
        .bind(documents)
        .bind(collections)
        .fetch_all(connection)
        .await?;
        let keys = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<EngineResult<_>>()?;
        Ok(Some(keys))
    }

    /// The chunks that have the words, those with the rarest first, and what each word weighs.
    async fn by_words(
        &self,
        connection: &mut PgConnection,
        owner: i64,
        chunks: i64,
        allowed: &Allowed,
    ) -> EngineResult<(TermWeights, Vec<i64>)> {
        let mut seen = BTreeSet::new();
        let words: Vec<&str> =
            self.words.iter().map(String::as_str).filter(|word| seen.insert(stem(word))).collect();
        let expressions: Vec<String> =
            words.iter().map(|word| expression(owner, stem(word))).collect();
        let rows = sqlx::query(
            "SELECT (SELECT count(*) FROM (SELECT FROM rag_chunks c
                      WHERE c.words @@ wanted.expression::TSQUERY AND c.owner = $2 LIMIT $3) found)
               FROM unnest($1::TEXT[]) WITH ORDINALITY AS wanted (expression, place)
              ORDER BY wanted.place",
        )
        .bind(&expressions)
        .bind(owner)
        .bind(COMMON_CHUNKS.saturating_add(1))
        .fetch_all(&mut *connection)
        .await?;
        let counts: Vec<i64> =
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<EngineResult<_>>()?;
        let weighed = words.iter().zip(&counts);
        let weights = TermWeights::new(
            weighed.clone().map(|(word, count)| ((*word).to_owned(), count.unsigned_abs())),
            chunks.unsigned_abs(),
        );
        let some_rare = counts.iter().any(|count| (1..=COMMON_CHUNKS).contains(count));
        let wanted: Vec<&str> = weighed
            .filter(|(_, count)| **count > 0 && (**count <= COMMON_CHUNKS || !some_rare))
            .map(|(word, _)| *word)
            .collect();
        if wanted.is_empty() {
            return Ok((weights, Vec::new()));
        }
        let any = wanted.iter().map(|word| quoted(stem(word))).collect::<Vec<_>>().join(" | ");
        let rarity: Vec<f64> = wanted.iter().map(|word| weights.weight(word)).collect();
        let rows = sqlx::query(
            "SELECT c.pk FROM rag_chunks c
              WHERE c.words @@ $1::TSQUERY AND c.owner = $2
                AND ($3::BIGINT[] IS NULL OR c.document = ANY ($3))
              ORDER BY (SELECT sum(wanted.weight) FROM unnest($4::TEXT[], $5::FLOAT8[])
                            AS wanted (word, weight) WHERE c.words @@ wanted.word::TSQUERY)
                       / (1 + ln(1 + length(c.words)) / 4) DESC, c.pk
              LIMIT $6",
        )
        .bind(format!("{} & ({any})", quoted(&owner_word(owner))))
        .bind(owner)
        .bind(allowed)
        .bind(wanted.iter().map(|word| quoted(stem(word))).collect::<Vec<String>>())
        .bind(rarity)
        .bind(self.depth())
        .fetch_all(connection)
        .await?;
        let found = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<EngineResult<_>>()?;
        Ok((weights, found))
    }

    async fn nearest(
        &self,
        connection: &mut PgConnection,
        owner: i64,
        chunks: i64,
        allowed: &Allowed,
    ) -> EngineResult<Vec<i64>> {
        let Place { vector, space, dimensions } = &self.place;
        let embedding = format!("embedding::{vector}.VECTOR({dimensions})");
        let query = format!("$1::{vector}.VECTOR({dimensions})");
        let distance = format!("c.{embedding} OPERATOR({vector}.<=>) {query}");
        let own = "c.owner = $2 AND ($3::BIGINT[] IS NULL OR c.document = ANY ($3))";
        // Numbers and a checked name are all that is put in.
        let statement = if allowed.is_some() || chunks <= EXACT_CHUNKS_MAX {
            format!(
                "WITH own AS MATERIALIZED (SELECT c.pk, {distance} AS distance FROM rag_chunks c
                    WHERE c.space = {space} AND {own})
                 SELECT pk FROM own WHERE distance < 1 ORDER BY distance, pk LIMIT $4"
            )
        } else {
            format!(
                "WITH near AS MATERIALIZED (SELECT c.pk, {distance} AS distance FROM rag_chunks c
                    WHERE c.space = {space} AND {own} ORDER BY {distance} LIMIT $4)
                 SELECT pk FROM near WHERE distance < 1 ORDER BY distance, pk"
            )
        };
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(vector_text(&self.query))
            .bind(owner)
            .bind(allowed)
            .bind(self.depth())
            .fetch_all(connection)
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The chunks' texts, in the order asked; the owner is checked once more.
    async fn snippets(
        &self,
        connection: &mut PgConnection,
        owner: i64,
        chunks: &[i64],
        weights: &TermWeights,
    ) -> EngineResult<Vec<Snippet>> {
        let Place { vector, space, dimensions } = &self.place;
        let statement = format!(
            "SELECT c.pk, c.heading, d.id, c.number, d.name, c.first_byte, c.end_byte,
                    c.first_line, c.last_line, c.text,
                    CASE WHEN c.space = {space} THEN 1 - (c.embedding::{vector}.VECTOR({dimensions})
                        OPERATOR({vector}.<=>) $3::{vector}.VECTOR({dimensions})) END
               FROM rag_chunks c JOIN rag_documents d ON d.pk = c.document
              WHERE c.pk = ANY ($1) AND c.owner = $2"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(chunks)
            .bind(owner)
            .bind(vector_text(&self.query))
            .fetch_all(connection)
            .await?;
        let mut found = BTreeMap::new();
        for row in &rows {
            let mut columns = Columns::of(row);
            let (pk, heading) = (columns.integer()?, columns.text()?.to_owned());
            let id = SnippetId::new(columns.parsed()?, columns.small()?);
            let name = columns.text()?.to_owned();
            let location = Location {
                bytes: Some((columns.unsigned()?, columns.unsigned()?)),
                lines: Some((columns.small()?, columns.small()?)),
                page: None,
            };
            let text = columns.text()?.to_owned();
            let cosine: Option<f64> = row.try_get(10)?;
            let covered = weights.covered_by(&format!("{heading}\n{text}"));
            let score = relevance(cosine, covered);
            found.insert(pk, Snippet { id, name, location, text, score, rank: 0 });
        }
        let in_order = chunks.iter().filter_map(|chunk| found.remove(chunk));
        Ok(in_order.zip(1..).map(|(snippet, rank)| Snippet { rank, ..snippet }).collect())
    }
}

/// The owner's chunks that have `word`.
fn expression(owner: i64, word: &str) -> String {
    format!("{} & {}", quoted(&owner_word(owner)), quoted(word))
}

/// A word between quotes. Words have no quote and no backslash in them: nothing in one is syntax.
fn quoted(word: &str) -> String {
    format!("'{word}'")
}
