//! What goes into an archive, and what stays out.

use std::io;

use chat_archive::{
    ArchiveErrorKind, ArchiveLine, Counts, ExportReport, ExportScope, ImportOptions, export, import,
};
use chat_balance::{LedgerAudit, LedgerMaintenance};
use chat_persist::{Maintenance, PersistenceAdapter};

use crate::common::{Memory, ada, archive_of, everything, id, lines_of, long_conversation, scope};

#[tokio::test]
async fn what_is_imported_is_exported_again() {
    let archive = everything().await.export().await;
    let target = Memory::default();
    target.import(&archive).await.expect("imports");
    assert_eq!(target.export().await, archive);
}

#[tokio::test]
async fn running_turns_are_left_out_and_counted() {
    let source = everything().await;
    let (archive, report) = source.export_of(&ExportScope::All).await;
    let lines = lines_of(&archive).expect("reads");
    let expected = ExportReport {
        lines: Counts {
            conversations: 4,
            messages: 8,
            files: 4,
            turns: 2,
            accounts: 4,
            openings: 0,
            holds: 4,
            entries: 9,
            usage_rows: 3,
        },
        turns_running: 1,
        heads_moved_up: 1,
    };
    assert_eq!(report, expected);
    let live = lines.iter().find_map(|line| match line {
        ArchiveLine::Conversation { conversation, .. } if conversation.id.as_str() == "live" => {
            Some(conversation)
        }
        _ => None,
    });
    assert_eq!(live.expect("is there").head, Some(id("u-live")), "what the reply answers");
    let stored = source.store.conversation(&scope("acme", "bob"), &id("live")).await;
    let stored = stored.expect("reads").expect("is there");
    assert_eq!(stored.head, Some(id("r-live")), "the source stays as it was");
}

#[tokio::test]
async fn the_books_of_an_imported_ledger_are_sound() {
    let target = Memory::default();
    let source = everything().await;
    target.import(&source.export().await).await.expect("imports");
    let mut audit = LedgerAudit::new();
    for (tenant, account) in target.ledger.scan_accounts(None, 100).await.expect("scans") {
        audit.account(&tenant, &account);
    }
    for hold in target.ledger.scan_holds(None, 100).await.expect("scans") {
        audit.hold(&hold);
    }
    for entry in target.ledger.scan_entries(0, 100).await.expect("scans") {
        audit.entry(&entry);
    }
    let report = audit.finish();
    assert!(report.is_sound(), "{report:?}");
}

#[tokio::test]
async fn one_user_takes_what_is_his_alone() {
    let source = everything().await;
    let (archive, report) = source.export_of(&ExportScope::One(ada())).await;
    let expected = Counts {
        conversations: 2,
        messages: 6,
        files: 3,
        turns: 2,
        accounts: 1,
        openings: 0,
        holds: 3,
        entries: 5,
        usage_rows: 2,
    };
    assert_eq!(report.lines, expected);
    assert_eq!((report.turns_running, report.heads_moved_up), (0, 0));
    let target = Memory::default();
    target.import(&archive).await.expect("imports");
    assert_eq!(target.export().await, archive);
    let strangers = target.store.scan_conversations(None, 100).await.expect("scans");
    assert!(strangers.iter().all(|(owner, _)| *owner == ada()));
    let mut audit = LedgerAudit::new();
    for (tenant, account) in target.ledger.scan_accounts(None, 100).await.expect("scans") {
        audit.account(&tenant, &account);
    }
    for hold in target.ledger.scan_holds(None, 100).await.expect("scans") {
        audit.hold(&hold);
    }
    for entry in target.ledger.scan_entries(0, 100).await.expect("scans") {
        audit.entry(&entry);
    }
    let audit = audit.finish();
    assert!(audit.is_sound(), "{audit:?}");
}

#[tokio::test]
async fn a_user_who_has_nothing_has_an_empty_archive() {
    let nobody = ExportScope::One(scope("acme", "nobody"));
    let (archive, report) = everything().await.export_of(&nobody).await;
    assert_eq!(report, ExportReport::default());
    assert_eq!(archive, archive_of(&[]));
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat() {
    let archive = archive_of(&long_conversation(1_203));
    let memory = Memory::default();
    memory.import(&archive).await.expect("imports");
    let mut pages = Vec::new();
    let mut again = Vec::new();
    let stores = memory.stores();
    let mut progress = |counts: &Counts| pages.push(counts.messages);
    let outcome = export(&stores, &ExportScope::All, &mut again, &mut progress).await;
    outcome.expect("exports");
    assert_eq!(String::from_utf8(again).expect("is text"), archive);
    assert_eq!(pages, [500, 1_000, 1_203], "one call after every page");
}

/// Takes so many bytes, then fails.
struct FullDisk(usize);

impl io::Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_ends_the_export() {
    let source = everything().await;
    for bytes in [0, 100, 5_000] {
        let outcome =
            export(&source.stores(), &ExportScope::All, FullDisk(bytes), &mut |_| {}).await;
        assert_eq!(outcome.expect_err("is told").kind(), ArchiveErrorKind::Io);
    }
}

#[tokio::test]
async fn a_store_without_a_ledger_has_none_in_its_archive() {
    let source = everything().await;
    let stores = source.stores().without_ledger();
    let mut archive = Vec::new();
    let report = export(&stores, &ExportScope::All, &mut archive, &mut |_| {}).await;
    let lines = report.expect("exports").lines;
    assert_eq!((lines.accounts, lines.holds, lines.entries, lines.usage_rows), (0, 0, 0, 3));
    let target = Memory::default();
    let stores = target.stores().without_ledger();
    let imported = import(archive.as_slice(), &stores, ImportOptions::default(), &mut |_| {}).await;
    assert_eq!(imported.expect("imports").lines, lines);
}
