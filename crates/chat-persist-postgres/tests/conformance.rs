//! A fresh PostgreSQL database keeps what the ports promise.

#![expect(clippy::expect_used, clippy::panic, reason = "a test opens its own store")]
#![expect(clippy::string_slice, reason = "a URL is cut where it was found to end")]

#[path = "engine/database.rs"]
mod database;

use std::sync::Arc;

use chat_persist_postgres::PostgresStore;
use chat_testkit::traces::TraceHarness;
use chat_testkit::{Harness, LedgerHarness, Ports, UsageHarness};
use database::Database;

async fn open() -> (Arc<PostgresStore>, Database) {
    let database = Database::create().await;
    (Arc::new(database.store().await), database)
}

async fn open_store() -> Harness {
    let (store, database) = open().await;
    Harness::new(store).guarded_by(database)
}

async fn open_ledger() -> LedgerHarness {
    let (store, database) = open().await;
    LedgerHarness::new(store).guarded_by(database)
}

async fn open_usage() -> UsageHarness {
    let (store, database) = open().await;
    UsageHarness::new(store).guarded_by(database)
}

async fn open_all() -> TraceHarness {
    let (store, database) = open().await;
    TraceHarness::new(Ports::of(store)).guarded_by(database)
}

chat_testkit::persistence_suite!(open_store());
chat_testkit::ledger_suite!(open_ledger());
chat_testkit::notices_suite!(open_ledger());
chat_testkit::usage_suite!(open_usage());
chat_testkit::archive_suite!(open_all());
