//! The references agree with themselves, and a store that is wrong in a small thing is caught.

use std::sync::Arc;

use async_trait::async_trait;
use chat_balance::MemoryLedger;
use chat_persist::MemoryStore;
use chat_testkit::Ports;
use chat_testkit::traces::{Seeds, TracedStore};
use chat_types::Scope;
use chat_usage::{MemoryUsageStore, Result, UsageQuery, UsageRow, UsageStore};

#[tokio::test]
async fn traces_repeat_and_lost_answers_change_nothing() {
    let seeds = Seeds::from_environment(1_000);
    println!("{seeds}");
    let (mut first, mut second) = (TracedStore::memory(), TracedStore::memory());
    let mut lossy = TracedStore::memory();
    for seed in seeds {
        let transcript = first.run(seed, None).await;
        assert_eq!(transcript.first_difference(&second.run(seed, None).await), None);
        let harmed = lossy.run(seed, Some(1)).await;
        assert_eq!(transcript.first_other_row(&harmed), None, "with every answer lost");
    }
}

/// Keeps only the first row of a call.
#[derive(Debug, Default)]
struct Forgetful {
    rows: MemoryUsageStore,
}

#[async_trait]
impl UsageStore for Forgetful {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        self.rows.record(scope, rows.get(..1).unwrap_or_default()).await
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        self.rows.rows(scope, query).await
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        self.rows.scan_rows(after, limit).await
    }
}

#[tokio::test]
async fn a_store_that_forgets_is_caught() {
    let ports = Ports {
        store: Arc::new(MemoryStore::new()),
        ledger: Arc::new(MemoryLedger::new()),
        usage: Arc::new(Forgetful::default()),
    };
    let (mut memory, mut forgetful) = (TracedStore::memory(), TracedStore::new(ports));
    let mut caught = 0;
    for seed in 1..=40 {
        let expected = memory.run(seed, None).await;
        let found = forgetful.run(seed, None).await;
        caught += u32::from(expected.first_difference(&found).is_some());
    }
    assert!(caught > 20, "{caught} of 40 traces");
}
