//! The port of an index that is fed here: documents in, listed, out.

use async_trait::async_trait;
use chat_types::{FileId, Scope};

use crate::client::RagClient;
use crate::document::{AddProgress, Added, Document, DocumentInfo};
use crate::error::Result;

/// An index of documents, each seen by its owner only.
#[async_trait]
pub trait RagIndex: RagClient {
    /// Splits `document`, embeds its chunks if there is an embedder, and puts it in place of an
    /// earlier version, all or nothing.
    ///
    /// The same content indexed the same way is `Unchanged`. While it runs, searches see the
    /// earlier version. `on_progress` is called from the work, in order, and must be quick.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge` as [`Document::check`]; `Embedding` if the model fails; else as the
    /// kinds say. After an error the earlier version stands.
    async fn add(
        &self,
        scope: &Scope,
        document: &Document,
        on_progress: &(dyn Fn(AddProgress) + Send + Sync),
    ) -> Result<Added>;

    /// The owner's documents by id, after `after`, at most `limit` (0 and anything above 1,000
    /// mean 1,000).
    ///
    /// # Errors
    /// As the kinds say.
    async fn list(
        &self,
        scope: &Scope,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<DocumentInfo>>;

    /// Removes a document and all that is known of it; whether it was there. A second call finds
    /// nothing, as one by another owner does.
    ///
    /// # Errors
    /// As the kinds say.
    async fn remove(&self, scope: &Scope, document: &FileId) -> Result<bool>;
}

const _DYN: fn(&dyn RagIndex) = |_| {};
