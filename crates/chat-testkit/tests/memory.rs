//! The memory references keep what the ports promise.

use std::sync::Arc;

use chat_balance::MemoryLedger;
use chat_persist::MemoryStore;
use chat_rag::MemoryIndex;
use chat_testkit::{Harness, HashingEmbedder, LedgerHarness, RagHarness, UsageHarness};
use chat_usage::MemoryUsageStore;

async fn open_store() -> Harness {
    Harness::new(Arc::new(MemoryStore::new()))
}

async fn open_ledger() -> LedgerHarness {
    LedgerHarness::new(Arc::new(MemoryLedger::new()))
}

async fn open_usage() -> UsageHarness {
    UsageHarness::new(Arc::new(MemoryUsageStore::new()))
}

async fn open_index() -> RagHarness {
    RagHarness::new(Arc::new(MemoryIndex::new()))
}

chat_testkit::persistence_suite!(open_store());
chat_testkit::ledger_suite!(open_ledger());
chat_testkit::notices_suite!(open_ledger());
chat_testkit::usage_suite!(open_usage());
chat_testkit::rag_suite!(open_index());

mod with_vectors {
    use super::{Arc, HashingEmbedder, MemoryIndex, RagHarness};

    async fn open() -> RagHarness {
        let embedder = Arc::new(HashingEmbedder::default());
        RagHarness::new(Arc::new(MemoryIndex::new().with_embedder(embedder)))
    }

    chat_testkit::rag_suite!(open());
}
