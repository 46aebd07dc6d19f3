//! The index keeps what the port promises: by words alone, and with vectors beside them.

#![expect(clippy::expect_used, reason = "helpers of tests may fail the test")]

use std::sync::Arc;

use chat_rag::{Embedder, RagIndex};
use chat_rag_local::{LocalRag, LocalRagConfig};
use chat_testkit::{HashingEmbedder, RagHarness};

async fn open(embedder: Option<Arc<dyn Embedder>>) -> RagHarness {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = LocalRagConfig::new(folder.path().join("rag.db"));
    let index = LocalRag::open(config, embedder).await.expect("opens");
    let port: Arc<dyn RagIndex> = Arc::new(index);
    RagHarness::new(port).guarded_by(folder)
}

mod by_words {
    use super::open;

    chat_testkit::rag_suite!(open(None));
}

mod with_vectors {
    use super::{Arc, HashingEmbedder, open};

    chat_testkit::rag_suite!(open(Some(Arc::new(HashingEmbedder::default()))));
}
