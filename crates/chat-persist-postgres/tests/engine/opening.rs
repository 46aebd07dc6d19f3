//! What is looked at when a store is opened, what is refused, and that refused schemas stay as they
//! are.

use chat_persist::{PersistError, PersistErrorKind, PersistenceAdapter};
use chat_persist_postgres::{PostgresConfig, PostgresStore};
use futures::future::join_all;

use crate::common::{conversation_id, first_turn, number, run, scope};
use crate::database::{Database, shell_at};

/// Everything that an error says, down to its last cause.
fn all_text(error: &PersistError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}

async fn refused(config: PostgresConfig) -> PersistError {
    PostgresStore::open(config).await.expect_err("is refused")
}

#[tokio::test]
async fn a_second_store_finds_the_schema_as_it_is() {
    let database = Database::create().await;
    let first = database.store().await;
    first.accept(&scope(), &first_turn("1", "hi")).await.expect("accepts");
    let second = database.store().await;
    let found = second.conversation(&scope(), &conversation_id("c-1")).await.expect("reads");
    assert!(found.is_some());
    let mut shell = shell_at(&database.url()).await;
    assert_eq!(number(&mut shell, "SELECT count(*) FROM chat.chat_schema").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_stores_create_one_schema_together() {
    let database = Database::create().await;
    let stores = join_all((0..8).map(|_| PostgresStore::open(database.config()))).await;
    for store in stores {
        let store = store.expect("opens");
        let found = store.conversation(&scope(), &conversation_id("c")).await;
        assert_eq!(found.ok(), Some(None));
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_untouched() {
    let database = Database::create().await;
    database.store().await.close().await;
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "UPDATE chat.chat_schema SET version = 4711").await;
    let refused = refused(database.config()).await;
    assert_eq!(refused.kind(), PersistErrorKind::NewerSchema, "{refused}");
    assert!(refused.to_string().contains("4711"), "{refused}");
    assert_eq!(number(&mut shell, "SELECT version::BIGINT FROM chat.chat_schema").await, 4711);
}

#[tokio::test]
async fn a_process_that_knows_no_tiers_goes_on_opening_steps() {
    let database = Database::create().await;
    let store = database.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "SET search_path TO chat").await;
    let opened =
        "SELECT open_step(tenant, id, user_id, epoch, 1, 'reply', 'example/echo', 'held', 0,
        1, 1, 5)::INT::BIGINT FROM turns";
    assert_eq!(number(&mut shell, opened).await, 1);
    let turn = store.turn(&scope(), &accept.turn.id).await.expect("reads").expect("is there");
    assert_eq!(turn.steps[0].tier, None);
}

#[tokio::test]
async fn another_programs_schema_is_refused_untouched() {
    let database = Database::create().await;
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "CREATE SCHEMA chat; CREATE TABLE chat.recipes (name TEXT)").await;
    let refused = refused(database.config()).await;
    assert_eq!(refused.kind(), PersistErrorKind::Corrupt, "{refused}");
    let tables = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'chat'";
    assert_eq!(number(&mut shell, tables).await, 1);
}

#[tokio::test]
async fn two_schemas_of_one_database_know_nothing_of_each_other() {
    let database = Database::create().await;
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "CREATE TABLE recipes (name TEXT)").await;
    let one = database.store().await;
    let two = PostgresStore::open(database.config().with_schema("other")).await.expect("opens");
    let accept = first_turn("1", "hi");
    one.accept(&scope(), &accept).await.expect("accepts");
    assert_eq!(two.turn(&scope(), &accept.turn.id).await.ok(), Some(None));
    two.accept(&scope(), &accept).await.expect("accepts the same id");
    let public = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'public'";
    assert_eq!(number(&mut shell, public).await, 1);
}

#[tokio::test]
async fn an_unsafe_setting_is_refused_for_billing_by_name() {
    let database = Database::create().await;
    for value in ["off", "local", "remote_write"] {
        let url = format!("{}?options[synchronous_commit]={value}", database.url());
        let store = PostgresStore::open(PostgresConfig::new(url)).await.expect("opens");
        let refused = store.require_billing().expect_err("is refused");
        assert_eq!(refused.kind(), PersistErrorKind::Unsupported, "{refused}");
        let named = format!("synchronous_commit = {value}");
        assert!(refused.to_string().contains(&named), "{refused}");
        let accept = first_turn(value, "hi");
        store.accept(&scope(), &accept).await.expect("the rest works");
    }
    database.store().await.require_billing().expect("the server's own settings are safe");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let database = Database::create().await;
    let url = database.url().replace("chat_test_", "chat_nowhere_");
    let refused = refused(PostgresConfig::new(url)).await;
    assert_eq!(refused.kind(), PersistErrorKind::Unsupported, "{refused}");
    assert!(refused.to_string().contains("no such database"), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_no_password_is_shown() {
    let url = "postgres://ada:s3cret@127.0.0.1:1/chat";
    let refused = refused(PostgresConfig::new(url)).await;
    assert!(refused.is_transient(), "{refused}");
    let text = all_text(&refused);
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn an_open_store_does_not_show_its_password() {
    let database = Database::create().await;
    let config = PostgresConfig::new(format!("{}?password=s3cret", database.url()));
    let store = PostgresStore::open(config.clone()).await.expect("opens");
    let shown = format!("{store:?} {config:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
