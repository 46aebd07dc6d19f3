//! `LocalRag`: the index's handle, cheap to clone; all clones share one file.

use std::sync::Arc;

use async_trait::async_trait;
use chat_rag::{
    AddProgress, AddStage, Added, Chunk, Chunker, Document, DocumentInfo, Embedder, RagClient,
    RagError, RagErrorKind, RagIndex, Result, RetrievalRequest, Snippet, clip_query, embed_all,
    embed_chunks, query_terms,
};
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter as _};
use chat_types::{FileId, Scope, Tokens};

use crate::add::StoreDocument;
use crate::codes::{Coded, pack};
use crate::documents::{KnownDocument, ListDocuments, RemoveDocument};
use crate::engine::Engine;
use crate::search::Search;
use crate::vectors::VectorCache;
use crate::{LocalRagConfig, SearchBy};

/// Tokens that an embedder must read beyond a chunk: the headings above it.
const HEADING_TOKENS: u64 = 30;

/// An index of documents in one SQLite file.
///
/// Dropping the last handle leaves the file as it is; [`LocalRag::close`] waits for the calls under
/// way and moves the WAL into the file. Several indexes, in this or other processes, may be open on
/// one file.
#[derive(Clone, Debug)]
pub struct LocalRag {
    engine: Arc<Engine>,
    chunker: Chunker,
    embedder: Option<Arc<dyn Embedder>>,
    cache: Arc<VectorCache>,
    search_by: SearchBy,
}

impl LocalRag {
    /// Opens the file, creating it if it is missing. Without an embedder documents are found by
    /// their words; those that were added with vectors keep them.
    ///
    /// # Errors
    /// `Invalid` for chunk sizes that cannot be, or that the embedder cannot read whole; `Corrupt`
    /// if the file is damaged, no database, or another program's; `NewerSchema` if a newer version
    /// wrote it: then it was left untouched; `Unavailable` if it is locked or cannot be opened.
    pub async fn open(config: LocalRagConfig, embedder: Option<Arc<dyn Embedder>>) -> Result<Self> {
        let chunker = config.chunker()?;
        let needed = Tokens::from_len(config.chunk_tokens_max).plus(Tokens::new(HEADING_TOKENS));
        if let Some(embedder) = embedder.as_ref().filter(|embedder| embedder.tokens_max() < needed)
        {
            let detail = format!(
                "chunks of {} tokens and {HEADING_TOKENS} of headings; {} reads {}: lower \
                 chunk_tokens_max",
                config.chunk_tokens_max,
                embedder.space().model,
                embedder.tokens_max()
            );
            return Err(RagError::new(RagErrorKind::Invalid, "open index", detail));
        }
        let engine = Engine::open(&config).await.map_err(|failure| failure.during("open index"))?;
        Ok(Self {
            engine: Arc::new(engine),
            chunker,
            embedder,
            cache: Arc::new(VectorCache::new(config.vector_bytes_max)),
            search_by: config.search_by,
        })
    }

    /// Waits for the calls under way and closes the file. Later calls on any handle answer
    /// `Unavailable`. A second call does nothing.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    fn model(&self) -> Option<&str> {
        self.embedder.as_ref().map(|embedder| embedder.space().model.as_str())
    }

    /// Splits on a blocking thread: seconds of work for a book.
    async fn chunk(&self, document: &Document) -> Result<Vec<Chunk>> {
        let (chunker, embedder) = (self.chunker, self.embedder.clone());
        let document = document.clone();
        let work = move || match embedder {
            Some(embedder) => chunker.chunk(&document, &|text| embedder.count_tokens(text)),
            None => {
                let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
                chunker.chunk(&document, &|text| Ok(counter.count_text(text)))
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            let detail = "splitting broke off";
            RagError::new(RagErrorKind::Unavailable, "add document", detail).with_source(error)
        })?
    }

    async fn embed(
        &self,
        chunks: &[Chunk],
        on_progress: &(dyn Fn(AddProgress) + Send + Sync),
    ) -> Result<Option<(String, Vec<u8>)>> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        let vectors = embed_chunks(embedder.as_ref(), chunks, on_progress).await?;
        Ok(Some((embedder.space().model.clone(), pack(&vectors))))
    }
}

#[async_trait]
impl RagIndex for LocalRag {
    async fn add(
        &self,
        scope: &Scope,
        document: &Document,
        on_progress: &(dyn Fn(AddProgress) + Send + Sync),
    ) -> Result<Added> {
        const ADD: &str = "add document";
        document.check()?;
        let chunked_by = self.chunker.signature();
        let known = KnownDocument { scope: scope.clone(), id: document.id.clone() };
        let known = self.engine.read(known).await.map_err(|failure| failure.during(ADD))?;
        let same = known.filter(|(info, known_chunking)| {
            info.is_of(document)
                && *known_chunking == chunked_by
                && info.embedding.as_deref() == self.model()
        });
        if let Some((info, _)) = same {
            return Ok(Added::unchanged(&info));
        }
        on_progress(AddProgress::at(AddStage::Chunking, 0, 0));
        let chunks = self.chunk(document).await?;
        let embedded = self.embed(&chunks, on_progress).await?;
        let count = chunks.len();
        let tokens = chunks.iter().map(|chunk| chunk.tokens).sum();
        let (scope, document) = (scope.clone(), document.clone());
        let store = StoreDocument { scope, document, chunks, chunked_by, embedded };
        on_progress(AddProgress::at(AddStage::Storing, 0, count));
        let outcome = self.engine.write(store).await.map_err(|failure| failure.during(ADD))?;
        on_progress(AddProgress::at(AddStage::Storing, count, count));
        Ok(Added { outcome, chunks: u32::try_from(count).unwrap_or(u32::MAX), tokens })
    }

    async fn list(
        &self,
        scope: &Scope,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<DocumentInfo>> {
        let list = ListDocuments { scope: scope.clone(), after: after.cloned(), limit };
        self.engine.read(list).await.map_err(|failure| failure.during("list documents"))
    }

    async fn remove(&self, scope: &Scope, document: &FileId) -> Result<bool> {
        let remove = RemoveDocument { scope: scope.clone(), id: document.clone() };
        self.engine.write(remove).await.map_err(|failure| failure.during("remove document"))
    }
}

#[async_trait]
impl RagClient for LocalRag {
    async fn retrieve(&self, request: &RetrievalRequest) -> Result<Vec<Snippet>> {
        request.check()?;
        if request.is_moot() {
            return Ok(Vec::new());
        }
        let query = clip_query(&request.query);
        let words = match self.search_by {
            SearchBy::Both | SearchBy::Words => query_terms(&query),
            SearchBy::Vectors => Vec::new(),
        };
        let query = match &self.embedder {
            Some(embedder) if self.search_by != SearchBy::Words => {
                let vectors = embed_all(embedder.as_ref(), &[query.as_ref()], &|_| {}).await?;
                let coded = vectors.first().map(|vector| Arc::new(Coded::of(vector)));
                coded.map(|coded| (embedder.space().clone(), coded))
            }
            _ => None,
        };
        let (request, cache) = (request.clone(), Arc::clone(&self.cache));
        let search = Search { request, words, query, cache };
        self.engine.read(search).await.map_err(|failure| failure.during("retrieve"))
    }
}
