//! What is refused when a file is opened, and that refused files stay as they are.

use crate::common::{World, at, completed, fence, first_turn, run, scope, shell_at};
use chat_persist::{ConversationQuery, PersistErrorKind, PersistenceAdapter};
use chat_persist_sqlite::SqliteStore;
use chat_types::{ContentHash, FileId, FileRecord};
use sqlx::Connection as _;

/// A closed file with some hundred turns in it.
async fn filled() -> World {
    let world = World::new();
    let store = world.store().await;
    for number in 0..200 {
        let accept = first_turn(&number.to_string(), &"a long question ".repeat(20));
        store.accept(&scope(), &accept).await.expect("accepts");
        store.close_turn(&fence(&accept), &completed(&accept, "yes")).await.expect("closes");
    }
    store.close().await;
    world
}

async fn check_refused_untouched(world: &World, kind: PersistErrorKind) {
    let before = world.bytes();
    let refused = SqliteStore::open(world.config()).await.expect_err("is refused");
    assert_eq!(refused.kind(), kind, "{refused}");
    assert!(!refused.is_transient());
    assert!(refused.to_string().contains("untouched"), "{refused}");
    assert!(before == world.bytes(), "the file was changed");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_untouched() {
    for content in ["hello, I am a letter\n".repeat(500), "x".to_owned()] {
        let world = World::new();
        std::fs::write(&world.path, content).expect("writes");
        check_refused_untouched(&world, PersistErrorKind::Corrupt).await;
    }
}

#[tokio::test]
async fn a_header_without_a_database_is_refused_untouched() {
    let world = World::new();
    let mut content = b"SQLite format 3\0".to_vec();
    content.resize(8_192, 0xff);
    std::fs::write(&world.path, content).expect("writes");
    check_refused_untouched(&world, PersistErrorKind::Corrupt).await;
}

#[tokio::test]
async fn overwritten_pages_are_refused_untouched() {
    let world = filled().await;
    let mut bytes = world.bytes();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xa5);
    std::fs::write(&world.path, bytes).expect("writes");
    check_refused_untouched(&world, PersistErrorKind::Corrupt).await;
}

#[tokio::test]
async fn a_file_cut_in_half_is_refused_untouched() {
    let world = filled().await;
    let bytes = world.bytes();
    std::fs::write(&world.path, &bytes[..bytes.len() / 2]).expect("writes");
    check_refused_untouched(&world, PersistErrorKind::Corrupt).await;
}

#[tokio::test]
async fn a_large_file_is_refused_when_it_is_cut() {
    let world = filled().await;
    let bytes = world.bytes();
    std::fs::write(&world.path, &bytes[..bytes.len() / 2]).expect("writes");
    let mut config = world.config();
    config.checked_bytes_max = 0;
    let before = world.bytes();
    let refused = SqliteStore::open(config).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Corrupt, "{refused}");
    assert!(before == world.bytes(), "the file was changed");
}

#[tokio::test]
async fn a_newer_schema_is_refused_untouched() {
    let world = filled().await;
    let mut shell = world.shell().await;
    run(&mut shell, "PRAGMA user_version = 4711").await;
    shell.close().await.expect("closes");
    check_refused_untouched(&world, PersistErrorKind::NewerSchema).await;
}

#[tokio::test]
async fn a_file_of_the_first_version_grows() {
    let world = filled().await;
    let mut shell = world.shell().await;
    let first_version =
        "DROP TABLE files; DROP TABLE notices; ALTER TABLE accounts DROP COLUMN unit;
        ALTER TABLE accounts DROP COLUMN state; ALTER TABLE steps DROP COLUMN tier;
        ALTER TABLE messages DROP COLUMN summary; PRAGMA user_version = 1";
    run(&mut shell, first_version).await;
    shell.close().await.expect("closes");
    let store = world.store().await;
    let listed = store.conversations(&scope(), &ConversationQuery::default()).await;
    assert!(!listed.expect("lists").conversations.is_empty(), "what was there stays");
    let file = FileRecord {
        id: FileId::new("f-1").expect("valid"),
        name: "notes.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        size_bytes: 12,
        content: ContentHash::of(["notes"]),
        created_at: at(1_000),
    };
    store.keep_files(&scope(), std::slice::from_ref(&file)).await.expect("keeps");
    let files = store.files(&scope(), std::slice::from_ref(&file.id)).await;
    assert_eq!(files.expect("reads"), [file]);
}

#[tokio::test]
async fn another_programs_database_is_refused_untouched() {
    let world = World::new();
    let mut shell = shell_at(&world.path).await;
    run(&mut shell, "CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')").await;
    shell.close().await.expect("closes");
    check_refused_untouched(&world, PersistErrorKind::Corrupt).await;
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let world = World::new();
    std::fs::write(&world.path, []).expect("writes");
    let store = world.store().await;
    store.accept(&scope(), &first_turn("1", "hi")).await.expect("accepts");
    store.close().await;
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let world = World::new();
    let path = world.path.join("nowhere").join("chat.db");
    let config = chat_persist_sqlite::SqliteConfig::new(path);
    let refused = SqliteStore::open(config).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Unavailable, "{refused}");
    assert!(refused.to_string().contains("folder"), "{refused}");
}

#[tokio::test]
async fn a_folder_is_no_database() {
    let world = World::new();
    std::fs::create_dir(&world.path).expect("creates");
    let refused = SqliteStore::open(world.config()).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Unavailable, "{refused}");
    assert!(refused.to_string().contains("cannot be read"), "{refused}");
}

#[tokio::test]
async fn a_locked_database_is_unavailable_until_it_is_free() {
    let world = World::new();
    let config = world.config().with_busy_timeout_ms(50);
    let store = SqliteStore::open(config).await.expect("opens");
    let mut shell = world.shell().await;
    run(&mut shell, "BEGIN IMMEDIATE").await;
    let accept = first_turn("1", "hi");
    let refused = store.accept(&scope(), &accept).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Unavailable);
    assert!(refused.is_transient() && refused.to_string().contains("locked"), "{refused}");
    assert_eq!(store.turn(&scope(), &accept.turn.id).await.expect("reads"), None);
    run(&mut shell, "ROLLBACK").await;
    store.accept(&scope(), &accept).await.expect("accepts now");
    assert!(store.turn(&scope(), &accept.turn.id).await.expect("reads").is_some());
}

#[tokio::test]
async fn a_new_file_locked_by_another_process_is_unavailable() {
    let world = World::new();
    let mut shell = world.shell().await;
    run(&mut shell, "BEGIN EXCLUSIVE; CREATE TABLE t (x)").await;
    let config = world.config().with_busy_timeout_ms(20);
    let refused = SqliteStore::open(config).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Unavailable, "{refused}");
    run(&mut shell, "ROLLBACK").await;
    shell.close().await.expect("closes");
    world.store().await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_stores_create_one_file_together() {
    let world = World::new();
    let opens = (0..8).map(|_| SqliteStore::open(world.config()));
    for store in futures::future::join_all(opens).await {
        let store = store.expect("opens");
        assert_eq!(
            store.conversation(&scope(), &crate::common::conversation_id("c")).await.ok(),
            Some(None)
        );
    }
}
