//! Archives: what one store exports comes back out of another byte for byte.
//!
//! Each case gets fresh, empty ports. They hold a store to its scans, its import, its restored
//! turns and its restored ledger, all at once. Not here: what an archive is (`chat-archive`).

use std::sync::Arc;

use chat_archive::{
    ExportScope, Failed, ImportOptions, ImportReport, LedgerPorts, Stores, export, import,
};
use chat_balance::MemoryLedger;
use chat_persist::MemoryStore;
use chat_types::{ContentPart, Conversation, Role};
use chat_usage::MemoryUsageStore;

use crate::Ports;
use crate::fixtures::{at, id, line, message, scope, strangers};
use crate::traces::TracedStore;

/// An archive of version 1 with every kind of row in it.
const EVERYTHING: &str = include_str!("../../chat-archive/tests/everything.jsonl");

/// How many made-up traces are carried over.
const TRACES: u64 = 12;

/// Emits one test per promise. The argument is an expression whose value is a future of a fresh
/// [`TraceHarness`](crate::traces::TraceHarness); it is evaluated once per test.
#[macro_export]
macro_rules! archive_suite {
    ($open:expr) => {
        mod archive_conformance {
            use super::*;
            $crate::archive_suite!(@cases $open;
                everything_comes_back,
                importing_again_changes_nothing,
                what_is_made_up_comes_back,
                what_is_made_up_here_comes_back_elsewhere,
                a_long_conversation_comes_back,
                large_texts_come_back,
                one_users_archive_has_nothing_of_others,
                an_import_that_was_cut_goes_on,
            );
        }
    };
    (@cases $open:expr; $($case:ident),+ $(,)?) => {
        $(
            #[$crate::private::tokio::test(
                crate = "chat_testkit::private::tokio",
                flavor = "multi_thread",
                worker_threads = 2
            )]
            async fn $case() {
                let harness = $open.await;
                $crate::archive::$case(&harness.ports).await;
                drop(harness);
            }
        )+
    };
}

fn memory() -> Ports {
    Ports {
        store: Arc::new(MemoryStore::new()),
        ledger: Arc::new(MemoryLedger::new()),
        usage: Arc::new(MemoryUsageStore::new()),
    }
}

fn stores(ports: &Ports) -> Stores {
    Stores {
        persistence: ports.store.clone(),
        maintenance: ports.store.clone(),
        ledger: Some(LedgerPorts {
            balance: ports.ledger.clone(),
            maintenance: ports.ledger.clone(),
        }),
        usage: ports.usage.clone(),
    }
}

async fn exported(ports: &Ports, scope: &ExportScope) -> String {
    let mut archive = Vec::new();
    export(&stores(ports), scope, &mut archive, &mut |_| {}).await.expect("exports");
    String::from_utf8(archive).expect("an archive is text")
}

async fn try_import(ports: &Ports, archive: &str) -> Result<ImportReport, Failed> {
    import(archive.as_bytes(), &stores(ports), ImportOptions::default(), &mut |_| {}).await
}

async fn imported(ports: &Ports, archive: &str) -> ImportReport {
    match try_import(ports, archive).await {
        Ok(report) => report,
        Err(failed) => panic!("{failed}: {}: {:?}", failed.source, failed.source),
    }
}

/// Compares line by line, so that a failure shows one line and not two archives.
#[track_caller]
fn assert_same(found: &str, expected: &str) {
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "one archive is longer");
}

/// Every kind of row, with every field set somewhere, goes in and comes out as it was.
pub async fn everything_comes_back(ports: &Ports) {
    imported(ports, EVERYTHING).await;
    assert_same(&exported(ports, &ExportScope::All).await, EVERYTHING);
}

/// A second import finds everything there and changes nothing.
pub async fn importing_again_changes_nothing(ports: &Ports) {
    let first = imported(ports, EVERYTHING).await;
    let again = imported(ports, EVERYTHING).await;
    assert_eq!(first.conversations_there, 0);
    let all_there = ImportReport { conversations_there: first.lines.conversations, ..first };
    assert_eq!(again, all_there);
    assert_same(&exported(ports, &ExportScope::All).await, EVERYTHING);
}

/// What made-up traces leave in memory goes through the store and back into memory unchanged.
pub async fn what_is_made_up_comes_back(ports: &Ports) {
    let source = memory();
    let mut traced = TracedStore::new(source.clone());
    for seed in 1..=TRACES {
        let _compared_elsewhere = traced.run(seed, None).await;
    }
    let archive = exported(&source, &ExportScope::All).await;
    imported(ports, &archive).await;
    let through = exported(ports, &ExportScope::All).await;
    assert_same(&through, &archive);
    let back = memory();
    imported(&back, &through).await;
    assert_same(&exported(&back, &ExportScope::All).await, &archive);
}

/// What made-up traces leave in the store goes into memory and comes out unchanged.
pub async fn what_is_made_up_here_comes_back_elsewhere(ports: &Ports) {
    let mut traced = TracedStore::new(ports.clone());
    for seed in 101..=100 + TRACES {
        let _compared_elsewhere = traced.run(seed, None).await;
    }
    let archive = exported(ports, &ExportScope::All).await;
    let elsewhere = memory();
    imported(&elsewhere, &archive).await;
    assert_same(&exported(&elsewhere, &ExportScope::All).await, &archive);
}

/// A conversation of many pages comes back in its order, with its head, which came last.
pub async fn a_long_conversation_comes_back(ports: &Ports) {
    let source = memory();
    let conversation =
        Conversation { head: Some(id("m-1202")), ..crate::fixtures::conversation("c", 1_000) };
    source.store.import(&scope(), &conversation, &line(1_203)).await.expect("imports");
    let archive = exported(&source, &ExportScope::All).await;
    imported(ports, &archive).await;
    assert_same(&exported(ports, &ExportScope::All).await, &archive);
}

/// Messages of a megabyte come back; several of them make a page of their own.
pub async fn large_texts_come_back(ports: &Ports) {
    let source = memory();
    let mut messages = Vec::new();
    for n in 0..6 {
        let parts = vec![ContentPart::text("ü\"\\\n".repeat(200_000))];
        let large = message(&format!("large-{n}"), None, Role::User);
        messages.push(chat_types::Message { parts, ..large });
    }
    let conversation = crate::fixtures::conversation("c", 1_000);
    source.store.import(&scope(), &conversation, &messages).await.expect("imports");
    let archive = exported(&source, &ExportScope::All).await;
    imported(ports, &archive).await;
    assert_eq!(exported(ports, &ExportScope::All).await.len(), archive.len());
    let page = ports.store.messages(&scope(), &id("c"), None, 10).await.expect("reads");
    assert!(page.messages == messages, "a text came back changed");
}

/// One user's archive is the same from every store, and names nobody else.
pub async fn one_users_archive_has_nothing_of_others(ports: &Ports) {
    let reference = memory();
    imported(&reference, EVERYTHING).await;
    imported(ports, EVERYTHING).await;
    for owner in [scope()].into_iter().chain(strangers()) {
        let one = ExportScope::One(owner);
        assert_same(&exported(ports, &one).await, &exported(&reference, &one).await);
    }
    let mine = exported(ports, &ExportScope::One(scope())).await;
    assert!(!mine.contains("\"user\":\"bob\"") && !mine.contains("umbrella"), "{mine}");
}

/// An import that was cut anywhere leaves a store on which the whole import succeeds.
pub async fn an_import_that_was_cut_goes_on(ports: &Ports) {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    for cut in (2..lines.len()).step_by(5) {
        let part = lines[..cut].join("\n") + "\n";
        let stopped = try_import(ports, &part).await;
        assert!(stopped.is_err(), "an archive of {cut} lines is no whole one");
    }
    imported(ports, EVERYTHING).await;
    let found = exported(ports, &ExportScope::All).await;
    assert_same(&found, EVERYTHING);
    let expired = at(i64::MAX);
    let held = ports.ledger.open_holds(expired, 100).await.expect("reads");
    assert_eq!(held.len(), 2, "open holds stay open");
}
