//! `MemoryIndex`: the reference behaviour of the ports, for tests and programs without a disk.
//!
//! Words are ranked by BM25 over the owner's own chunks; with an embedder the cosine of the vectors
//! gives a second list, and both are fused. Every search looks at all of the owner's chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_types::{FileId, Scope, Tokens};

use crate::chunker::{Chunk, Chunker};
use crate::client::{DocumentFilter, RagClient, RetrievalRequest, clip_query};
use crate::document::{AddOutcome, AddProgress, AddStage, Added, Document, DocumentInfo};
use crate::embedder::{Embedder, cosine, embed_all, embed_chunks};
use crate::error::Result;
use crate::fusion::fuse;
use crate::index::RagIndex;
use crate::snippet::{Snippet, SnippetId, relevance};
use crate::terms::{TermWeights, query_terms, stem, terms};

/// The most documents of one page.
const PAGE_MAX: u32 = 1_000;

/// BM25's constants, the ones search engines start from.
const SATURATION: f64 = 1.2;
const LENGTH_WEIGHT: f64 = 0.75;

/// How many of each list are fused, times the snippets wanted.
const CANDIDATES_PER_SNIPPET: usize = 4;

/// Documents in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex {
    documents: Arc<Mutex<BTreeMap<Scope, BTreeMap<FileId, Stored>>>>,
    chunker: Chunker,
    embedder: Option<Arc<dyn Embedder>>,
}

#[derive(Clone, Debug)]
struct Stored {
    info: DocumentInfo,
    chunks: Vec<StoredChunk>,
}

#[derive(Clone, Debug)]
struct StoredChunk {
    chunk: Chunk,
    stems: Vec<String>,
    vector: Vec<f32>,
}

/// A chunk that may answer.
struct Candidate {
    id: SnippetId,
    name: String,
    stored: StoredChunk,
}

impl MemoryIndex {
    /// An empty index that finds by words.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with another way of splitting.
    #[must_use]
    pub fn with_chunker(mut self, chunker: Chunker) -> Self {
        self.chunker = chunker;
        self
    }

    /// The same with vectors beside the words.
    #[must_use]
    pub fn with_embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = Some(embedder);
        self
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Scope, BTreeMap<FileId, Stored>>) -> T) -> T {
        // No step below can panic half-way, so a poisoned state is still whole.
        work(&mut self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tokens by the embedder, or words and marks: about what a tokenizer makes of plain text.
    fn count(&self, text: &str) -> Result<Tokens> {
        match &self.embedder {
            Some(embedder) => embedder.count_tokens(text),
            None => {
                let marks = text.chars().filter(char::is_ascii_punctuation).count();
                Ok(Tokens::from_len(terms(text).len().saturating_add(marks)))
            }
        }
    }

    async fn vectors(
        &self,
        chunks: &[Chunk],
        on_progress: &(dyn Fn(AddProgress) + Send + Sync),
    ) -> Result<Vec<Vec<f32>>> {
        let Some(embedder) = &self.embedder else {
            return Ok(vec![Vec::new(); chunks.len()]);
        };
        embed_chunks(embedder.as_ref(), chunks, on_progress).await
    }

    fn candidates(&self, scope: &Scope, filter: &DocumentFilter) -> Vec<Candidate> {
        let passes = |info: &DocumentInfo| {
            let is_named = filter.documents.as_ref().is_none_or(|ids| ids.contains(&info.id));
            let collection = info.collection.as_ref();
            let is_collected = filter
                .collections
                .as_ref()
                .is_none_or(|ids| collection.is_some_and(|id| ids.contains(id)));
            is_named && is_collected
        };
        self.with(|documents| {
            let mine = documents.get(scope).into_iter().flat_map(BTreeMap::values);
            let passing = mine.filter(|stored| passes(&stored.info));
            passing
                .flat_map(|stored| {
                    stored.chunks.iter().map(|chunk| Candidate {
                        id: SnippetId::new(stored.info.id.clone(), chunk.chunk.number),
                        name: stored.info.name.clone(),
                        stored: chunk.clone(),
                    })
                })
                .collect()
        })
    }
}

#[async_trait]
impl RagIndex for MemoryIndex {
    async fn add(
        &self,
        scope: &Scope,
        document: &Document,
        on_progress: &(dyn Fn(AddProgress) + Send + Sync),
    ) -> Result<Added> {
        document.check()?;
        let known = self.with(|documents| {
            documents
                .get(scope)
                .and_then(|mine| mine.get(&document.id))
                .map(|stored| stored.info.clone())
        });
        if let Some(info) = known.filter(|info| info.is_of(document)) {
            return Ok(Added::unchanged(&info));
        }
        on_progress(AddProgress::at(AddStage::Chunking, 0, 0));
        let chunks = self.chunker.chunk(document, &|text| self.count(text))?;
        let vectors = self.vectors(&chunks, on_progress).await?;
        on_progress(AddProgress::at(AddStage::Storing, chunks.len(), chunks.len()));
        let info = DocumentInfo {
            id: document.id.clone(),
            collection: document.collection.clone(),
            name: document.name.clone(),
            media_type: document.media_type.clone(),
            content: document.content.clone(),
            text_bytes: u64::try_from(document.text.len()).unwrap_or(u64::MAX),
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            embedding: self.embedder.as_ref().map(|embedder| embedder.space().model.clone()),
            added_at: document.added_at,
        };
        let tokens = chunks.iter().map(|chunk| chunk.tokens).sum();
        let chunk_count = info.chunks;
        let store = |(chunk, vector): (Chunk, Vec<f32>)| {
            let words = terms(&chunk.text_to_embed());
            let stems = words.iter().map(|word| stem(word).to_owned()).collect();
            StoredChunk { chunk, stems, vector }
        };
        let chunks = chunks.into_iter().zip(vectors).map(store).collect();
        let replaced = self.with(|documents| {
            let mine = documents.entry(scope.clone()).or_default();
            mine.insert(document.id.clone(), Stored { info, chunks })
        });
        let outcome = if replaced.is_some() { AddOutcome::Replaced } else { AddOutcome::New };
        Ok(Added { outcome, chunks: chunk_count, tokens })
    }

    async fn list(
        &self,
        scope: &Scope,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<DocumentInfo>> {
        let limit = if limit == 0 { PAGE_MAX } else { limit.min(PAGE_MAX) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.with(|documents| {
            let mine = documents.get(scope).into_iter().flat_map(BTreeMap::values);
            let rest = mine.filter(|stored| after.is_none_or(|after| stored.info.id > *after));
            rest.take(limit).map(|stored| stored.info.clone()).collect()
        }))
    }

    async fn remove(&self, scope: &Scope, document: &FileId) -> Result<bool> {
        Ok(self.with(|documents| {
            documents.get_mut(scope).and_then(|mine| mine.remove(document)).is_some()
        }))
    }
}

#[async_trait]
impl RagClient for MemoryIndex {
    async fn retrieve(&self, request: &RetrievalRequest) -> Result<Vec<Snippet>> {
        request.check()?;
        if request.is_moot() {
            return Ok(Vec::new());
        }
        let query = clip_query(&request.query);
        let candidates = self.candidates(&request.scope, &request.filter);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let depth = limit.saturating_mul(CANDIDATES_PER_SNIPPET);
        let words = query_terms(&query);
        let (weights, by_words) = rank_by_words(&candidates, &words);
        let mut lists = vec![best(&by_words, depth)];
        let mut cosines = Vec::new();
        if let Some(embedder) = &self.embedder {
            let query = embed_all(embedder.as_ref(), &[query.as_ref()], &|_| {}).await?;
            let query = query.first().map(Vec::as_slice).unwrap_or_default();
            cosines = candidates
                .iter()
                .map(|candidate| f64::from(cosine(query, &candidate.stored.vector)).max(0.0))
                .collect();
            lists.push(best(&cosines, depth));
        }
        let found = fuse(&lists).into_iter().take(limit).filter_map(|(place, _)| {
            let candidate = candidates.get(place)?;
            let covered = weights.covered_by(&candidate.stored.chunk.text_to_embed());
            Some((candidate, relevance(cosines.get(place).copied(), covered)))
        });
        let snippet = |((candidate, score), rank): ((&Candidate, f64), u32)| Snippet {
            id: candidate.id.clone(),
            name: candidate.name.clone(),
            location: candidate.stored.chunk.location,
            text: candidate.stored.chunk.text.clone(),
            score,
            rank,
        };
        Ok(found.zip(1..).map(snippet).collect())
    }
}

/// The places of the best scores above zero, best first, earlier places first among equals.
fn best(scores: &[f64], depth: usize) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> =
        scores.iter().copied().enumerate().filter(|(_, score)| *score > 0.0).collect();
    places.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    places.into_iter().take(depth).map(|(place, _)| place).collect()
}

/// BM25 of each candidate, and what each word weighs among them.
fn rank_by_words(candidates: &[Candidate], words: &[String]) -> (TermWeights, Vec<f64>) {
    let length = |candidate: &Candidate| float(candidate.stored.stems.len());
    let count = |candidate: &Candidate, word: &str| {
        float(candidate.stored.stems.iter().filter(|other| *other == stem(word)).count())
    };
    let all = float(candidates.len());
    let mean_length = candidates.iter().map(length).sum::<f64>() / all.max(1.0);
    let mut scores = vec![0.0; candidates.len()];
    let mut having_words = Vec::new();
    let mut seen = BTreeSet::new();
    for word in words.iter().filter(|word| seen.insert(stem(word))) {
        let counts: Vec<f64> = candidates.iter().map(|candidate| count(candidate, word)).collect();
        let having = counts.iter().filter(|count| **count > 0.0).count();
        let rarity = (1.0 + (all - float(having) + 0.5) / (float(having) + 0.5)).ln();
        having_words.push((word.clone(), u64::try_from(having).unwrap_or(u64::MAX)));
        for ((score, count), candidate) in scores.iter_mut().zip(&counts).zip(candidates) {
            let relative = length(candidate) / mean_length.max(1.0);
            let damping = SATURATION * (1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative);
            *score += rarity * count * (SATURATION + 1.0) / (count + damping);
        }
    }
    let texts = u64::try_from(candidates.len()).unwrap_or(u64::MAX);
    (TermWeights::new(having_words, texts), scores)
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
