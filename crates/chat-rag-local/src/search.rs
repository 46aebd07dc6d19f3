//! A search: words and vectors of the owner's chunks, fused, at one moment of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use chat_rag::{
    Location, RagErrorKind, RetrievalRequest, Snippet, SnippetId, TermWeights, VectorSpace, fuse,
    relevance,
};
use chat_types::{CollectionId, FileId};
use sqlx::{Row as _, SqliteConnection};

use crate::add::owner_word;
use crate::codes::Coded;
use crate::engine::Work;
use crate::error::{EngineResult, Failure};
use crate::row::{Columns, encode, stored};
use crate::vectors::{Page, Scored, VectorCache, join, read_page};

/// How many of each list are fused, times the snippets wanted.
const CANDIDATES_PER_SNIPPET: u32 = 4;

/// Fewest candidates of each list: what one list ranks low the other may lift.
const CANDIDATES_MIN: u32 = 40;

/// A word in more of the owner's chunks than this says nothing; it is left out of the ranking when
/// rarer ones are there, which also bounds the work of a search.
const COMMON_CHUNKS: i64 = 10_000;

/// A heading's words count this much more than the text's: they say what the text is about.
const HEADING_WEIGHT: f64 = 2.0;

/// What is asked for.
pub(crate) struct Search {
    pub(crate) request: RetrievalRequest,
    /// The words to look for.
    pub(crate) words: Vec<String>,
    /// The query's vector.
    pub(crate) query: Option<(VectorSpace, Arc<Coded>)>,
    pub(crate) cache: Arc<VectorCache>,
}

struct Owner {
    pk: i64,
    version: i64,
    chunks: u64,
}

/// Documents that may answer; none: all of the owner's.
type Allowed = Option<Arc<BTreeSet<i64>>>;

/// What the vectors say.
#[derive(Default)]
struct ByVectors {
    best: Vec<Scored>,
    /// Cosines of the chunks that the words have found.
    others: BTreeMap<i64, f64>,
}

#[async_trait]
impl Work for Search {
    type Output = Vec<Snippet>;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let Some(owner) = self.owner(connection).await? else { return Ok(Vec::new()) };
        let allowed = self.allowed(connection, &owner).await?;
        let (weights, by_words) = self.by_words(connection, &owner, &allowed).await?;
        let by_vectors = self.by_vectors(connection, &owner, &allowed, &by_words).await?;
        let nearest: Vec<i64> = by_vectors.best.iter().map(|(chunk, _)| *chunk).collect();
        let cosines: BTreeMap<i64, f64> =
            by_vectors.best.into_iter().chain(by_vectors.others).collect();
        let limit = usize::try_from(self.request.limit).unwrap_or(usize::MAX);
        let fused: Vec<i64> =
            fuse(&[by_words, nearest]).into_iter().take(limit).map(|(chunk, _)| chunk).collect();
        let mut snippets = Vec::with_capacity(fused.len());
        for (chunk, heading, snippet) in rows_of(connection, &owner, &fused).await? {
            let covered = weights.covered_by(&format!("{heading}\n{}", snippet.text));
            let rank = u32::try_from(snippets.len().saturating_add(1)).unwrap_or(u32::MAX);
            let score = relevance(cosines.get(&chunk).copied(), covered);
            snippets.push(Snippet { score, rank, ..snippet });
        }
        Ok(snippets)
    }
}

impl Search {
    fn depth(&self) -> u32 {
        self.request.limit.saturating_mul(CANDIDATES_PER_SNIPPET).max(CANDIDATES_MIN)
    }

    async fn owner(&self, connection: &mut SqliteConnection) -> EngineResult<Option<Owner>> {
        let scope = &self.request.scope;
        let row =
            sqlx::query("SELECT pk, version, chunks FROM owners WHERE tenant = $1 AND user = $2")
                .bind(scope.tenant.as_str())
                .bind(scope.user.as_str())
                .fetch_optional(connection)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = Columns::of(&row);
        let (pk, version, chunks) = (columns.integer()?, columns.integer()?, columns.unsigned()?);
        Ok(Some(Owner { pk, version, chunks }))
    }

    async fn allowed(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
    ) -> EngineResult<Allowed> {
        let filter = &self.request.filter;
        if filter.documents.is_none() && filter.collections.is_none() {
            return Ok(None);
        }
        let ids = filter
            .documents
            .as_ref()
            .map(|ids| encode(&ids.iter().map(FileId::as_str).collect::<Vec<_>>()));
        let collections = filter
            .collections
            .as_ref()
            .map(|ids| encode(&ids.iter().map(CollectionId::as_str).collect::<Vec<_>>()));
        let rows = sqlx::query(
            "SELECT pk FROM documents WHERE owner = $1
                AND ($2 IS NULL OR id IN (SELECT value FROM json_each($2)))
                AND ($3 IS NULL OR collection IN (SELECT value FROM json_each($3)))",
        )
        .bind(owner.pk)
        .bind(ids.transpose()?)
        .bind(collections.transpose()?)
        .fetch_all(connection)
        .await?;
        let documents: EngineResult<BTreeSet<i64>> =
            rows.iter().map(|row| Columns::of(row).integer()).collect();
        Ok(Some(Arc::new(documents?)))
    }

    /// The chunks that have the words, best first, and what each word weighs.
    async fn by_words(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
        allowed: &Allowed,
    ) -> EngineResult<(TermWeights, Vec<i64>)> {
        let counts = self.counts(connection, owner).await?;
        let is_rare = |count: i64| count <= COMMON_CHUNKS;
        let some_rare = counts.iter().any(|(_, count)| (1..=COMMON_CHUNKS).contains(count));
        let wanted: Vec<&str> = counts
            .iter()
            .filter(|(_, count)| *count > 0 && (is_rare(*count) || !some_rare))
            .map(|(word, _)| word.as_str())
            .collect();
        let expression = (!wanted.is_empty()).then(|| expression(owner.pk, &wanted));
        let weighed = counts.into_iter().map(|(word, count)| (word, count.unsigned_abs()));
        let weights = TermWeights::new(weighed, owner.chunks);
        let Some(expression) = expression else { return Ok((weights, Vec::new())) };
        let rows = match allowed {
            None => {
                sqlx::query(
                    "SELECT rowid FROM words WHERE words MATCH $1
                      ORDER BY bm25(words, 0.0, $2, 1.0), rowid LIMIT $3",
                )
                .bind(expression)
                .bind(HEADING_WEIGHT)
                .bind(self.depth())
                .fetch_all(connection)
                .await?
            }
            Some(documents) => {
                sqlx::query(
                    "SELECT w.rowid FROM words w JOIN chunks c ON c.pk = w.rowid
                      WHERE w.words MATCH $1 AND c.document IN (SELECT value FROM json_each($4))
                      ORDER BY bm25(words, 0.0, $2, 1.0), w.rowid LIMIT $3",
                )
                .bind(expression)
                .bind(HEADING_WEIGHT)
                .bind(self.depth())
                .bind(encode(documents.as_ref())?)
                .fetch_all(connection)
                .await?
            }
        };
        let chunks = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<EngineResult<_>>()?;
        Ok((weights, chunks))
    }

    /// In how many of the owner's chunks each word stands, counted up to one more than is common.
    async fn counts(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
    ) -> EngineResult<Vec<(String, i64)>> {
        let expressions: Vec<String> =
            self.words.iter().map(|word| expression(owner.pk, &[word])).collect();
        let rows = sqlx::query(
            "SELECT (SELECT count(*) FROM
                       (SELECT 1 FROM words WHERE words MATCH wanted.value LIMIT $2))
               FROM json_each($1) wanted ORDER BY wanted.key",
        )
        .bind(encode(&expressions)?)
        .bind(COMMON_CHUNKS.saturating_add(1))
        .fetch_all(connection)
        .await?;
        let counts = rows.iter().map(|row| Columns::of(row).integer());
        self.words.iter().cloned().zip(counts).map(|(word, count)| Ok((word, count?))).collect()
    }

    async fn by_vectors(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
        allowed: &Allowed,
        by_words: &[i64],
    ) -> EngineResult<ByVectors> {
        let Some((space, query)) = &self.query else { return Ok(ByVectors::default()) };
        let look = |pages| {
            look(pages, Arc::clone(query), allowed.clone(), by_words.to_vec(), self.depth())
        };
        if let Some(pages) = self.cache.get(owner.pk, owner.version) {
            return look(pages).await;
        }
        // Pages are kept together while there is room for all of them; else each is searched and
        // let go.
        let mut kept = Some(Vec::new());
        let mut found: Vec<ByVectors> = Vec::new();
        let mut after = 0;
        while let Some((page, last)) = read_page(connection, owner.pk, space, after).await? {
            after = last;
            let Some(pages) = &mut kept else {
                found.push(look(Arc::new(vec![page])).await?);
                continue;
            };
            pages.push(page);
            if !self.cache.has_room(pages) {
                found.push(look(Arc::new(std::mem::take(pages))).await?);
                kept = None;
            }
        }
        if let Some(pages) = kept {
            let pages = Arc::new(pages);
            self.cache.keep(owner.pk, owner.version, &pages);
            return look(pages).await;
        }
        let (best, others): (Vec<_>, Vec<_>) =
            found.into_iter().map(|part| (part.best, part.others)).unzip();
        let depth = usize::try_from(self.depth()).unwrap_or(usize::MAX);
        Ok(ByVectors { best: join(best, depth), others: others.into_iter().flatten().collect() })
    }
}

/// Scans pages on a thread of its own: tens of milliseconds of arithmetic.
async fn look(
    pages: Arc<Vec<Page>>,
    query: Arc<Coded>,
    allowed: Allowed,
    by_words: Vec<i64>,
    depth: u32,
) -> EngineResult<ByVectors> {
    let depth = usize::try_from(depth).unwrap_or(usize::MAX);
    let scan = move || {
        let allows =
            |document: i64| allowed.as_ref().is_none_or(|documents| documents.contains(&document));
        let best = pages.iter().map(|page| page.nearest(&query, depth, &allows)).collect();
        let cosine = |chunk: i64| {
            pages.iter().find_map(|page| page.cosine(&query, chunk)).map(|cosine| (chunk, cosine))
        };
        let others = by_words.into_iter().filter_map(cosine).collect();
        ByVectors { best: join(best, depth), others }
    };
    tokio::task::spawn_blocking(scan)
        .await
        .map_err(|_| Failure::new(RagErrorKind::Unavailable, "the search was broken off"))
}

/// The owner's chunks that have any of `words`. Each is quoted, and has no quote in it: nothing in
/// it is syntax.
fn expression(owner: i64, words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.as_ref())).collect();
    format!("owner : \"{}\" AND {{heading body}} : ({})", owner_word(owner), quoted.join(" OR "))
}

/// The chunks' texts, in the order asked; the owner is checked once more.
async fn rows_of(
    connection: &mut SqliteConnection,
    owner: &Owner,
    chunks: &[i64],
) -> EngineResult<Vec<(i64, String, Snippet)>> {
    let rows = sqlx::query(
        "SELECT c.pk, c.heading, d.id, c.number, d.name, c.first_byte, c.end_byte, c.first_line,
                c.last_line, c.text
           FROM json_each($1) wanted
           CROSS JOIN chunks c ON c.pk = wanted.value
           CROSS JOIN documents d ON d.pk = c.document AND d.owner = $2
          ORDER BY wanted.key LIMIT $3",
    )
    .bind(encode(chunks)?)
    .bind(owner.pk)
    .bind(stored(chunks.len()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
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
            Ok((pk, heading, Snippet { id, name, location, text, score: 0.0, rank: 0 }))
        })
        .collect()
}
