//! The same database as lines of an archive.

use std::sync::Arc;

use chat_archive::{ImportOptions, Importer, LedgerPorts, Stores};
use chat_balance::{BalanceAdapter, MemoryLedger};
use chat_persist::{MemoryStore, PersistenceAdapter};
use chat_persist_mongo::{LibreChatReport, LibreChatSource};
use chat_types::{AccountId, Money, Scope};
use chat_usage::{MemoryUsageStore, UsageQuery, UsageStore};

use crate::models::Peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_carried_over_once() {
    let peer = Peer::new().await;
    let scope = Scope::new("default".parse().expect("valid"), peer.user.parse().expect("valid"));
    let store = Arc::new(MemoryStore::new());
    let ledger = Arc::new(MemoryLedger::new());
    let usage = Arc::new(MemoryUsageStore::new());
    let stores = Stores {
        persistence: store.clone(),
        maintenance: store.clone(),
        ledger: Some(LedgerPorts { balance: ledger.clone(), maintenance: ledger.clone() }),
        usage: usage.clone(),
    };
    for run in 0..2 {
        let mut source = LibreChatSource::open(&peer.fresh.url).await.expect("opens");
        let mut importer = Importer::new(stores.clone(), ImportOptions::default());
        while let Some(line) = source.next_line().await.expect("reads") {
            importer.take(line).await.expect("takes");
        }
        let there = importer.finish().await.expect("finishes").conversations_there;
        assert_eq!(there, 3 * run, "the second run finds what the first wrote");
        let report = *source.report();
        let counts = (report.conversations, report.messages, report.files);
        assert_eq!(counts, (3, 8, 1));
        assert_eq!((report.usage_rows, report.openings, report.orphans), (2, 1, 1));
        assert_eq!(LibreChatReport::default().cycles, report.cycles);
    }
    let chat = peer.chat.parse().expect("valid");
    let head = store.conversation(&scope, &chat).await.expect("reads").expect("there").head;
    let page = store.branch(&scope, &chat, &head.expect("a head"), 10).await.expect("reads");
    assert_eq!(page.messages.len(), 4);
    let account = ledger
        .account(&scope, &AccountId::new(&peer.user).expect("valid"))
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(account.granted, Money::from_nano_usd(19_680_000));
    let rows = usage.rows(&scope, &UsageQuery::default()).await.expect("reads");
    let amounts: Vec<i64> = rows.iter().map(|row| row.amount.nano_usd()).collect();
    assert_eq!(amounts, [250_000, 70_000], "gpt-4o at LibreChat's own rates");
}
