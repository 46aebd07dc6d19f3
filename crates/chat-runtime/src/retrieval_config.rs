//! `[retrieval]`: sources that are looked up for every message.

use std::path::PathBuf;

use chat_context::rag::RetrievalConfig;
use serde::{Deserialize, Serialize};

#[cfg(feature = "rag-local")]
use std::sync::Arc;

#[cfg(feature = "rag-local")]
use chat_context::rag::{Embedder, RagClient, RagIndex, Retrieval};

use crate::RuntimeError;

/// Sources, and how many of them a prompt gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SourcesConfig {
    /// The file of the index; made if it is not there.
    pub file: PathBuf,
    /// The folder of the embedding model's weights; none: the user's cache folder. Without weights
    /// documents are found by their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_weights: Option<PathBuf>,
    /// Deadline, floor, room, and what a failure means.
    #[serde(default)]
    pub settings: RetrievalConfig,
}

impl SourcesConfig {
    /// The index of this file with the usual settings.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), embedding_weights: None, settings: RetrievalConfig::default() }
    }
}

/// An open index, and retrieval over it.
#[cfg(feature = "rag-local")]
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) index: Arc<dyn RagIndex>,
    pub(crate) retrieval: Retrieval,
}

#[cfg(feature = "rag-local")]
impl SourcesConfig {
    pub(crate) async fn open(&self) -> Result<Sources, RuntimeError> {
        let config = chat_rag_local::LocalRagConfig::new(&self.file);
        let index = chat_rag_local::LocalRag::open(config, self.embedder()).await;
        let index = Arc::new(index.map_err(|error| self.wrong(&error))?);
        let client = Arc::clone(&index) as Arc<dyn RagClient>;
        let retrieval = Retrieval::new("documents", client, self.settings.clone());
        Ok(Sources { index, retrieval: retrieval.map_err(|error| self.wrong(&error))? })
    }

    /// The embedding model, if its weights are there.
    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        #[cfg(feature = "local")]
        {
            let folder = self.embedding_weights.as_deref();
            let files = chat_provider_local::find_embedding_weights(folder).ok()?;
            Some(Arc::new(chat_provider_local::LocalEmbedder::new(files)))
        }
        #[cfg(not(feature = "local"))]
        None
    }

    fn wrong(&self, error: &chat_context::rag::RagError) -> RuntimeError {
        let detail = format!("retrieval.file {}: {error}", self.file.display());
        RuntimeError::InvalidConfig { detail }
    }
}

#[cfg(not(feature = "rag-local"))]
impl SourcesConfig {
    pub(crate) fn refuse(&self) -> RuntimeError {
        let wanted = format!("retrieval.file {}", self.file.display());
        RuntimeError::FeatureOff { wanted, feature: "rag-local" }
    }
}
