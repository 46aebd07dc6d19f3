//! Writing an archive into stores: in pages, again, half, and not at all.

#![expect(clippy::string_slice, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use chat_archive::{ArchiveErrorKind, ArchiveLine, Counts, ImportOptions, ImportReport, Importer};
use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, Credit, CreditKind, PRIORITY,
};
use chat_persist::PersistenceAdapter;
use chat_types::{Change, ContentPart, ConversationPatch, Message, MessageId, Money, Role};

use crate::common::{
    Memory, ada, archive_of, assert_stopped, at, conversation, everything, id, lines_of,
    long_conversation, message,
};

#[tokio::test]
async fn a_second_import_changes_nothing() {
    let archive = everything().await.export().await;
    let target = Memory::default();
    let first = target.import(&archive).await.expect("imports");
    assert_eq!(first.conversations_there, 0);
    let second = target.import(&archive).await.expect("imports");
    assert_eq!(second, ImportReport { conversations_there: 4, ..first });
    assert_eq!(target.export().await, archive);
}

#[tokio::test]
async fn an_import_goes_on_where_it_was_cut() {
    let archive = everything().await.export().await;
    let target = Memory::default();
    for end in (0..archive.len()).step_by(997).filter(|end| archive.is_char_boundary(*end)) {
        let cut = assert_stopped(target.import(&archive[..end]).await, ArchiveErrorKind::Truncated);
        let whole_lines = archive[..end].lines().count().saturating_sub(2);
        assert!(cut.report.lines.total() >= u64::try_from(whole_lines).expect("few"), "{cut:?}");
    }
    target.import(&archive).await.expect("imports");
    let again = target.export().await;
    let differing = again.lines().zip(archive.lines()).find(|(found, expected)| found != expected);
    assert_eq!(differing, None);
    assert_eq!(again.len(), archive.len());
}

#[tokio::test]
async fn what_came_before_a_bad_line_is_written() {
    let archive = archive_of(&long_conversation(3));
    let lines: Vec<&str> = archive.lines().collect();
    let broken = [&lines[..4], &["nonsense"], &lines[4..]].concat().join("\n");
    let target = Memory::default();
    let stopped = assert_stopped(target.import(&broken).await, ArchiveErrorKind::BadLine);
    assert_eq!(stopped.source.line(), Some(5));
    assert_eq!(stopped.report.lines, Counts { conversations: 1, messages: 2, ..Counts::default() });
    assert_eq!(stopped.report.heads_missing, 1);
    let page = target.store.messages(&ada(), &id("c"), None, 10).await.expect("reads");
    assert_eq!(page.messages.len(), 2);
}

#[tokio::test]
async fn a_long_conversation_goes_page_by_page() {
    let archive = archive_of(&long_conversation(1_203));
    let target = Memory::default();
    let mut seen = Vec::new();
    let (stores, options) = (target.stores(), ImportOptions::default());
    let mut progress = |counts: &Counts| seen.push(counts.messages);
    let imported = chat_archive::import(archive.as_bytes(), &stores, options, &mut progress).await;
    imported.expect("imports");
    assert_eq!(seen, [0, 500, 1_000, 1_203]);
    assert_eq!(target.export().await, archive, "the head was in the last page");
}

#[tokio::test]
async fn large_messages_make_small_pages() {
    let mut importer = Importer::new(Memory::default().stores(), ImportOptions::default());
    let open = ArchiveLine::Conversation { scope: ada(), conversation: conversation("c") };
    importer.take(open).await.expect("takes");
    let mut pages = 0;
    for n in 0..10 {
        let mut large = message("c", &format!("m-{n}"), None, Role::User);
        large.parts = vec![ContentPart::text("x".repeat(1024 * 1024))];
        let wrote = importer.take(ArchiveLine::Message { message: large }).await.expect("takes");
        pages += usize::from(wrote);
    }
    assert_eq!(pages, 2, "four megabytes each");
    importer.finish().await.expect("finishes");
}

#[tokio::test]
async fn a_conversation_that_went_on_keeps_its_head() {
    let archive = archive_of(&long_conversation(1_203));
    let target = Memory::default();
    target.import(&archive).await.expect("imports");
    let patch = ConversationPatch {
        head: Change::Set(id("m-7")),
        title: Change::Set("mine now".into()),
        ..ConversationPatch::default()
    };
    let patched = target.store.patch_conversation(&ada(), &id("c"), &patch, at(5_000)).await;
    target.import(&archive).await.expect("imports");
    let stored = target.store.conversation(&ada(), &id("c")).await.expect("reads");
    assert_eq!(stored, Some(patched.expect("patches")));
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let source = everything().await;
    let archive = source.export().await;
    let options = ImportOptions { dry_run: true, ..ImportOptions::default() };
    let target = Memory::default();
    let report = target.import_with(&archive, options).await.expect("reads");
    assert_eq!(report.lines.total(), u64::try_from(archive.lines().count() - 2).expect("few"));
    assert_eq!(report.conversations_there, 0);
    assert_eq!(target.export().await, archive_of(&[]));
    let report = source.import_with(&archive, options).await.expect("reads");
    assert_eq!(report.conversations_there, 4);
    let cut = &archive[..archive.len() - 20];
    assert_stopped(target.import_with(cut, options).await, ArchiveErrorKind::Truncated);
}

#[tokio::test]
async fn messages_stand_behind_their_conversation() {
    let one = |message| vec![ArchiveLine::Message { message }];
    let homeless = one(message("c", "m", None, Role::User));
    let open = ArchiveLine::Conversation { scope: ada(), conversation: conversation("c") };
    let foreign = [vec![open.clone()], one(message("d", "m", None, Role::User))].concat();
    let file = lines_of(&everything().await.export().await).expect("reads");
    let file = file.into_iter().find(|line| matches!(line, ArchiveLine::File { .. }));
    let late = [vec![open, file.expect("has one")], homeless.clone()].concat();
    for (lines, line) in [(homeless, 2), (foreign, 3), (late, 4)] {
        let stopped = Memory::default().import(&archive_of(&lines)).await;
        let stopped = assert_stopped(stopped, ArchiveErrorKind::OutOfPlace);
        assert_eq!(stopped.source.line(), Some(line));
    }
}

#[tokio::test]
async fn what_a_store_refuses_is_named_by_its_lines() {
    let lines = [
        ArchiveLine::Conversation { scope: ada(), conversation: conversation("c") },
        ArchiveLine::Message { message: message("c", "m-1", None, Role::User) },
        ArchiveLine::Message { message: message("c", "m-2", Some("none"), Role::User) },
    ];
    let stopped = Memory::default().import(&archive_of(&lines)).await;
    let stopped = assert_stopped(stopped, ArchiveErrorKind::Store);
    assert_eq!(stopped.source.to_string(), "lines 2 to 4: the store refused");
    assert!(!stopped.source.is_transient());
}

fn as_message(line: &ArchiveLine) -> Option<&Message> {
    match line {
        ArchiveLine::Message { message } => Some(message),
        _ => None,
    }
}

#[tokio::test]
async fn what_differs_is_refused_or_stays_and_the_rest_is_added() {
    let source = everything().await;
    let archive = source.export().await;
    let edited = |line: ArchiveLine| match line {
        ArchiveLine::Message { mut message } if message.conversation.as_str() == "tree" => {
            message.parts = vec![ContentPart::text("edited since")];
            ArchiveLine::Message { message }
        }
        ArchiveLine::File { scope, mut file } => {
            file.name.push_str(" renamed since");
            ArchiveLine::File { scope, file }
        }
        line => line,
    };
    let lines = lines_of(&archive).expect("reads");
    let is_edited = |line: &ArchiveLine| edited(line.clone()) != *line;
    let messages = lines.iter().filter(|line| is_edited(line));
    let (messages, files): (Vec<_>, Vec<_>) =
        messages.partition(|line| matches!(line, ArchiveLine::Message { .. }));
    assert!(messages.len() > 2 && !files.is_empty(), "{messages:?} {files:?}");
    // One of the edited messages is not there yet, and nothing hangs on it.
    let all: Vec<&Message> = messages.iter().filter_map(|line| as_message(line)).collect();
    let is_leaf = |id: &MessageId| all.iter().all(|other| other.parent.as_ref() != Some(id));
    let leaf = *all.iter().find(|message| is_leaf(&message.id)).expect("has a leaf");
    let target = Memory::default();
    let is_early = |line: &&ArchiveLine| as_message(line).is_none_or(|one| one.id != leaf.id);
    let early: Vec<ArchiveLine> = lines.iter().filter(is_early).cloned().collect();
    target.import(&archive_of(&early)).await.expect("imports");
    let edited = archive_of(&lines.iter().cloned().map(edited).collect::<Vec<_>>());
    assert_stopped(target.import(&edited).await, ArchiveErrorKind::Store);

    let options = ImportOptions { keep_what_differs: true, ..ImportOptions::default() };
    let report = target.import_with(&edited, options).await.expect("imports");
    let kept = (report.messages_kept, report.files_kept);
    let expected = (messages.len() - 1, files.len());
    assert_eq!(kept, (expected.0.try_into().expect("few"), expected.1.try_into().expect("few")));
    let now = target.export().await;
    // It was written later than the others and stands behind them.
    let then: BTreeSet<&str> = archive.lines().collect();
    let differing: Vec<&str> = now.lines().filter(|line| !then.contains(line)).collect();
    let [new] = differing.as_slice() else {
        panic!("one line is another: {differing:?}");
    };
    assert!(new.contains("edited since") && new.contains(leaf.id.as_str()), "{new}");
    assert_eq!(target.import_with(&edited, options).await.expect("imports").messages_kept, kept.0);
    assert_eq!(target.export().await, now);
}

#[tokio::test]
async fn a_missing_summary_comes_also_beside_what_differs() {
    let archive = everything().await.export().await;
    let earlier = |line: ArchiveLine| match line {
        ArchiveLine::Message { mut message } => {
            if message.id.as_str() == "u-2" {
                message.parts = vec![ContentPart::text("edited here")];
            }
            message.summary = None;
            ArchiveLine::Message { message }
        }
        line => line,
    };
    let lines = lines_of(&archive).expect("reads");
    let summed = lines.iter().filter_map(as_message).find(|message| message.summary.is_some());
    let summed = summed.expect("one has a summary");
    let target = Memory::default();
    let earlier: Vec<ArchiveLine> = lines.iter().cloned().map(earlier).collect();
    target.import(&archive_of(&earlier)).await.expect("imports");
    let options = ImportOptions { keep_what_differs: true, ..ImportOptions::default() };
    let report = target.import_with(&archive, options).await.expect("imports");
    assert_eq!(report.messages_kept, 1);
    let there = target.store.message(&ada(), &summed.conversation, &summed.id).await;
    assert_eq!(there.expect("reads").as_ref(), Some(summed));
}

#[tokio::test]
async fn a_ledger_that_moved_on_is_not_merged() {
    let source = everything().await;
    let archive = source.export().await;
    let target = Memory::default();
    target.import(&archive).await.expect("imports");
    let credit = Credit {
        account: id("wallet:ada"),
        kind: CreditKind::Grant,
        key: "later".into(),
        amount: Money::from_nano_usd(1),
        at: at(9_000),
        priority: PRIORITY,
        expires_at: None,
    };
    target.ledger.credit(&ada(), &credit).await.expect("credits");
    let before = target.export().await;
    let stopped = assert_stopped(target.import(&archive).await, ArchiveErrorKind::Store);
    assert!(stopped.source.to_string().contains("ledgers are not merged"), "{}", stopped.source);
    assert_eq!(target.export().await, before);
}

#[tokio::test]
async fn a_ledger_without_a_place_is_refused_or_left_out() {
    let archive = everything().await.export().await;
    let target = Memory::default();
    let stores = target.stores().without_ledger();
    let import = async |leave_ledger_out| {
        let options = ImportOptions { leave_ledger_out, ..ImportOptions::default() };
        chat_archive::import(archive.as_bytes(), &stores, options, &mut |_| {}).await
    };
    let stopped = assert_stopped(import(false).await, ArchiveErrorKind::NoLedger);
    let line = archive.lines().position(|line| line.starts_with("{\"account\"")).expect("has one");
    assert_eq!(stopped.source.line(), u64::try_from(line + 1).ok());
    let report = import(true).await.expect("imports");
    assert_eq!(report.ledger_left_out, 17);
}

#[tokio::test]
async fn turns_of_a_deleted_conversation_are_left_out() {
    let lines = lines_of(&everything().await.export().await).expect("reads");
    let is_tree = |line: &ArchiveLine| match line {
        ArchiveLine::Conversation { conversation, .. } => conversation.id.as_str() == "tree",
        ArchiveLine::Message { message } => message.conversation.as_str() == "tree",
        _ => false,
    };
    let rest: Vec<ArchiveLine> = lines.into_iter().filter(|line| !is_tree(line)).collect();
    let report = Memory::default().import(&archive_of(&rest)).await.expect("imports");
    assert_eq!((report.lines.turns, report.turns_homeless), (2, 2));
}

#[tokio::test]
async fn an_opening_is_opened_once() {
    let spec = AccountSpec {
        id: id("wallet:ada"),
        owner: Some(ada().user),
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(500),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let opening = ArchiveLine::Opening { scope: ada(), spec, at: at(1_000) };
    let archive = archive_of(&[opening]);
    let target = Memory::default();
    for _ in 0..2 {
        target.import(&archive).await.expect("imports");
        let account = target.ledger.account(&ada(), &id("wallet:ada")).await.expect("reads");
        assert_eq!(account.expect("is there").granted, Money::from_nano_usd(500));
    }
    let lines = lines_of(&target.export().await).expect("reads");
    assert_eq!(lines.len(), 2, "the account and its grant: {lines:?}");
}

#[tokio::test]
async fn typed_lines_need_no_json() {
    let archive = everything().await.export().await;
    let target = Memory::default();
    let mut importer = Importer::new(target.stores(), ImportOptions::default());
    let mut totals = BTreeSet::new();
    for line in lines_of(&archive).expect("reads") {
        importer.take(line).await.expect("takes");
        totals.insert(importer.report().lines.total());
    }
    let report = importer.finish().await.expect("finishes");
    assert_eq!(totals.last(), Some(&report.lines.total()));
    assert_eq!(target.export().await, archive);
}
