//! The memory references keep what the ports promise.

use std::sync::Arc;

use chat_persist::MemoryStore;
use chat_testkit::Harness;

async fn open() -> Harness {
    Harness::new(Arc::new(MemoryStore::new()))
}

chat_testkit::persistence_suite!(open());
