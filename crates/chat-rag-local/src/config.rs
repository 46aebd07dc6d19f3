//! Where the file is and how much the index may use; every number says why.

use std::path::PathBuf;

use chat_rag::{Chunker, Result};
use serde::{Deserialize, Serialize};

/// What a search looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SearchBy {
    /// Words, and vectors where there are any, fused.
    #[default]
    Both,
    /// The words of the question.
    Words,
    /// The vector of the question; nothing is found without an embedder.
    Vectors,
}

/// Settings of one index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalRagConfig {
    /// The file, the index's own; created if missing, in a folder that exists, on a local disk.
    pub path: PathBuf,
    /// How long a statement waits for another process. Five seconds outlast the largest document.
    #[serde(default = "busy_timeout_ms")]
    pub busy_timeout_ms: u32,
    /// Connections for searching, opened when first needed. Four: more than cores only take memory.
    #[serde(default = "read_connections")]
    pub read_connections: usize,
    /// The page cache of each connection, in KiB. 16 MiB hold the word lists of some 100,000 chunks
    /// that questions touch.
    #[serde(default = "cache_kib")]
    pub cache_kib: u32,
    /// Vectors kept in memory between searches, in bytes. 128 MiB are 340,000 chunks; those of an
    /// owner with more are read from the file at each search.
    #[serde(default = "vector_bytes_max")]
    pub vector_bytes_max: usize,
    /// The longest chunk in tokens: the embedder's, or OpenAI's where there is none.
    #[serde(default = "chunk_tokens_max")]
    pub chunk_tokens_max: usize,
    /// Tokens that neighbouring chunks share.
    #[serde(default = "chunk_overlap")]
    pub chunk_overlap: usize,
    /// What a search looks at. Both, unless one is to be compared with the other.
    #[serde(default)]
    pub search_by: SearchBy,
}

const fn busy_timeout_ms() -> u32 {
    5_000
}

const fn read_connections() -> usize {
    4
}

const fn cache_kib() -> u32 {
    16_384
}

const fn vector_bytes_max() -> usize {
    128 * 1024 * 1024
}

const fn chunk_tokens_max() -> usize {
    224
}

const fn chunk_overlap() -> usize {
    32
}

impl LocalRagConfig {
    /// The defaults for the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout_ms: busy_timeout_ms(),
            read_connections: read_connections(),
            cache_kib: cache_kib(),
            vector_bytes_max: vector_bytes_max(),
            chunk_tokens_max: chunk_tokens_max(),
            chunk_overlap: chunk_overlap(),
            search_by: SearchBy::default(),
        }
    }

    /// The same with another bound for vectors in memory.
    #[must_use]
    pub fn with_vector_bytes_max(mut self, bytes: usize) -> Self {
        self.vector_bytes_max = bytes;
        self
    }

    /// The same looking at one thing only.
    #[must_use]
    pub fn with_search_by(mut self, search_by: SearchBy) -> Self {
        self.search_by = search_by;
        self
    }

    /// How documents are split.
    ///
    /// # Errors
    /// As [`Chunker::new`].
    pub fn chunker(&self) -> Result<Chunker> {
        Chunker::new(self.chunk_tokens_max, self.chunk_overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused() {
        let read = |text| serde_json::from_str::<LocalRagConfig>(text);
        assert!(read(r#"{"path":"a.db","chunks":1}"#).is_err());
        assert_eq!(read(r#"{"path":"a.db"}"#).ok(), Some(LocalRagConfig::new("a.db")));
    }
}
