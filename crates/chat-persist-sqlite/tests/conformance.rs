//! A fresh SQLite file keeps what the ports promise.

#![expect(clippy::expect_used, reason = "a test opens its own store")]

use std::sync::Arc;

use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_testkit::traces::TraceHarness;
use chat_testkit::{Harness, LedgerHarness, Ports, UsageHarness};

async fn open() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = SqliteConfig::new(folder.path().join("chat.db"));
    let store = SqliteStore::open(config).await.expect("a fresh store");
    (Arc::new(store), folder)
}

async fn open_store() -> Harness {
    let (store, folder) = open().await;
    Harness::new(store).guarded_by(folder)
}

async fn open_ledger() -> LedgerHarness {
    let (store, folder) = open().await;
    LedgerHarness::new(store).guarded_by(folder)
}

async fn open_usage() -> UsageHarness {
    let (store, folder) = open().await;
    UsageHarness::new(store).guarded_by(folder)
}

async fn open_all() -> TraceHarness {
    let (store, folder) = open().await;
    TraceHarness::new(Ports::of(store)).guarded_by(folder)
}

chat_testkit::persistence_suite!(open_store());
chat_testkit::ledger_suite!(open_ledger());
chat_testkit::notices_suite!(open_ledger());
chat_testkit::usage_suite!(open_usage());
chat_testkit::archive_suite!(open_all());
