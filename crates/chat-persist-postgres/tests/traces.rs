//! Made-up traces of calls end as they do in memory, also with lost answers.

#![expect(clippy::expect_used, clippy::panic, reason = "a test opens its own store")]
#![expect(clippy::string_slice, reason = "a URL is cut where it was found to end")]

#[path = "engine/database.rs"]
mod database;

use std::sync::Arc;

use chat_testkit::Ports;
use chat_testkit::traces::TraceHarness;
use database::Database;

async fn open() -> TraceHarness {
    let database = Database::create().await;
    let store = database.store().await;
    TraceHarness::new(Ports::of(Arc::new(store))).guarded_by(database)
}

chat_testkit::trace_suite!(open(), full: 1_000);
