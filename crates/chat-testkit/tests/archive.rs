//! The memory references give back what an archive brings.

use chat_balance::MemoryLedger;
use chat_persist::MemoryStore;
use chat_testkit::Ports;
use chat_testkit::traces::TraceHarness;
use chat_usage::MemoryUsageStore;
use std::sync::Arc;

async fn open() -> TraceHarness {
    TraceHarness::new(Ports {
        store: Arc::new(MemoryStore::new()),
        ledger: Arc::new(MemoryLedger::new()),
        usage: Arc::new(MemoryUsageStore::new()),
    })
}

chat_testkit::archive_suite!(open());
