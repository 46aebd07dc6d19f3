#![doc = include_str!("../README.md")]

mod chunker;
mod client;
mod document;
mod embedder;
mod error;
mod fence;
mod fusion;
mod index;
mod memory;
mod retrieval;
mod selection;
mod snippet;
mod terms;

pub use chunker::{Chunk, Chunker};
pub use client::{
    DocumentFilter, FILTER_IDS_MAX, RagClient, RetrievalRequest, SNIPPETS_MAX, clip_query,
};
pub use document::{
    AddOutcome, AddProgress, AddStage, Added, DOCUMENT_BYTES_MAX, Document, DocumentInfo,
    NAME_BYTES_MAX,
};
pub use embedder::{Embedder, VectorSpace, cosine, embed_all, embed_chunks, normalize};
pub use error::{RagError, RagErrorKind, Result};
pub use fence::fence;
pub use fusion::{FUSION_CONSTANT, fuse, merge};
pub use index::RagIndex;
pub use memory::MemoryIndex;
pub use retrieval::{FailurePolicy, Retrieval, RetrievalConfig, Retrieved, SourceFailure};
pub use selection::{DropReason, Dropped, Selection, dedupe, drop_below, fit};
pub use snippet::{Citation, Location, Snippet, SnippetId, citations, relevance};
pub use terms::{TermWeights, query_terms, stem, terms};
