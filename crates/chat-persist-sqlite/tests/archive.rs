//! What is exported comes back byte for byte, through a file.

#![expect(clippy::expect_used, reason = "a test opens its own store")]

use std::sync::Arc;

use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_testkit::Ports;
use chat_testkit::traces::TraceHarness;

async fn open() -> TraceHarness {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = SqliteConfig::new(folder.path().join("chat.db"));
    let store = SqliteStore::open(config).await.expect("a fresh store");
    TraceHarness::new(Ports::of(Arc::new(store))).guarded_by(folder)
}

chat_testkit::archive_suite!(open());
