//! `PostgresRag`: the index's handle, over the connections of an open store.

use std::sync::Arc;

use async_trait::async_trait;
use chat_rag::{
    AddProgress, AddStage, Added, Chunk, Chunker, Document, DocumentInfo, Embedder, RagClient,
    RagError, RagErrorKind, RagIndex, Result, RetrievalRequest, Snippet, clip_query, embed_all,
    embed_chunks, query_terms,
};
use chat_types::{FileId, Scope};

use crate::PostgresStore;
use crate::rag::add::StoreDocument;
use crate::rag::documents::{KnownDocument, ListDocuments, RemoveDocument};
use crate::rag::schema::{Place, Prepare};
use crate::rag::search::Search;

/// An index of documents in the store's schema: full text and pgvector. Clones share connections.
#[derive(Clone, Debug)]
pub struct PostgresRag {
    store: PostgresStore,
    chunker: Chunker,
    embedder: Arc<dyn Embedder>,
    place: Place,
}

impl PostgresRag {
    /// Opens the index beside `store`; the extension and the tables are made if they are missing.
    /// A second call, also by another process, finds them there.
    ///
    /// # Errors
    /// `Unsupported` if the server has no pgvector, or this login may not create it, or the
    /// embedder's vectors have more than 2,000 numbers; `NewerSchema` if a newer version made the
    /// tables: then they were left untouched; `Unavailable` if the server does not answer.
    pub async fn open(
        store: PostgresStore,
        chunker: Chunker,
        embedder: Arc<dyn Embedder>,
    ) -> Result<Self> {
        let prepare = Prepare { space: embedder.space().clone() };
        let place = store.write(prepare).await.map_err(|failure| failure.rag("open index"))?;
        Ok(Self { store, chunker, embedder, place })
    }

    /// Splits on a blocking thread: seconds of work for a book.
    async fn chunk(&self, document: &Document) -> Result<Vec<Chunk>> {
        let (chunker, embedder) = (self.chunker, Arc::clone(&self.embedder));
        let document = document.clone();
        let work = move || chunker.chunk(&document, &|text| embedder.count_tokens(text));
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            let detail = "splitting broke off";
            RagError::new(RagErrorKind::Unavailable, "add document", detail).with_source(error)
        })?
    }
}

#[async_trait]
impl RagIndex for PostgresRag {
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
        let known = self.store.read(known).await.map_err(|failure| failure.rag(ADD))?;
        let same = known.filter(|(info, known_chunking)| {
            info.is_of(document)
                && *known_chunking == chunked_by
                && info.embedding.as_deref() == Some(&self.embedder.space().model)
        });
        if let Some((info, _)) = same {
            return Ok(Added::unchanged(&info));
        }
        on_progress(AddProgress::at(AddStage::Chunking, 0, 0));
        let chunks = self.chunk(document).await?;
        let count = chunks.len();
        let vectors = embed_chunks(self.embedder.as_ref(), &chunks, on_progress).await?;
        let tokens = chunks.iter().map(|chunk| chunk.tokens).sum();
        let (place, scope, document) = (self.place.clone(), scope.clone(), document.clone());
        let store = StoreDocument { place, scope, document, chunks, vectors, chunked_by };
        on_progress(AddProgress::at(AddStage::Storing, 0, count));
        let outcome = self.store.write(store).await.map_err(|failure| failure.rag(ADD))?;
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
        self.store.read(list).await.map_err(|failure| failure.rag("list documents"))
    }

    async fn remove(&self, scope: &Scope, document: &FileId) -> Result<bool> {
        let remove = RemoveDocument { scope: scope.clone(), id: document.clone() };
        self.store.write(remove).await.map_err(|failure| failure.rag("remove document"))
    }
}

#[async_trait]
impl RagClient for PostgresRag {
    async fn retrieve(&self, request: &RetrievalRequest) -> Result<Vec<Snippet>> {
        request.check()?;
        if request.is_moot() {
            return Ok(Vec::new());
        }
        let text = clip_query(&request.query);
        let words = query_terms(&text);
        let vectors = embed_all(self.embedder.as_ref(), &[text.as_ref()], &|_| {}).await?;
        let query = vectors.into_iter().next().unwrap_or_default();
        let (place, request) = (self.place.clone(), request.clone());
        let search = Search { place, request, words, query };
        self.store.write(search).await.map_err(|failure| failure.rag("retrieve"))
    }
}
