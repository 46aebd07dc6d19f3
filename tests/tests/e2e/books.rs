//! Usage rows and ledger entries of a store, read through its ports.

use std::path::Path;

use chat_balance::{Entry, LedgerMaintenance};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_usage::{UsageRow, UsageStore};

/// What a store has booked, in the order written.
pub(crate) struct Books {
    pub(crate) usage: Vec<UsageRow>,
    pub(crate) entries: Vec<Entry>,
}

impl Books {
    pub(crate) fn read(store: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(SqliteConfig::new(store)).await.unwrap();
            let usage = store.scan_rows(0, 1_000).await.unwrap();
            let entries = store.scan_entries(0, 1_000).await.unwrap();
            store.close().await;
            Self { usage: usage.into_iter().map(|(_, row)| row).collect(), entries }
        })
    }
}
