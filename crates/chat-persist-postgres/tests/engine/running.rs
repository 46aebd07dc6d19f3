//! Lost connections, stuck locks, dropped futures and writers in each other's way.

use std::task::{Context, Waker};
use std::time::Duration;

use chat_persist::{Accept, Accepted, PersistErrorKind, PersistenceAdapter};
use chat_persist_postgres::{PostgresConfig, PostgresStore};
use chat_types::{Change, ConversationPatch, TurnKind};
use futures::future::join_all;

use crate::common::{
    at, completed, conversation_id, fence, first_turn, message_id, number, run, scope,
};
use crate::database::{Database, shell_at};

const OTHERS_IN_A_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend' AND state <> 'idle'";

const CLOSE_OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_leave_no_transaction_open() {
    let database = Database::create().await;
    let store = database.store().await;
    let scope = scope();
    let turns: Vec<_> = (0..100).map(|n| first_turn(&n.to_string(), "hi")).collect();
    for (place, accept) in turns.iter().enumerate() {
        let id = &accept.conversation.id;
        let patch =
            ConversationPatch { title: Change::Set("new".to_owned()), ..Default::default() };
        let mut context = Context::from_waker(Waker::noop());
        // Writes of one statement, writes in a transaction, and reads, each dropped after one poll.
        let is_ready = match place % 3 {
            0 => store.accept(&scope, accept).as_mut().poll(&mut context).is_ready(),
            1 => {
                let patching = store.patch_conversation(&scope, id, &patch, at(2));
                { patching }.as_mut().poll(&mut context).is_ready()
            }
            _ => store.conversation(&scope, id).as_mut().poll(&mut context).is_ready(),
        };
        assert!(!is_ready, "no call to a server is through at its first poll");
    }
    for accept in &turns {
        // Whether or not the dropped call took effect, the same call is answered now.
        store.accept(&scope, accept).await.expect("accepts");
    }
    store.close().await;
    let mut shell = shell_at(&database.url()).await;
    assert_eq!(number(&mut shell, OTHERS_IN_A_TRANSACTION).await, 0);
    assert_eq!(number(&mut shell, "SELECT count(*) FROM chat.turns").await, 100);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_transient_error() {
    let database = Database::create().await;
    let config = database.config().with_statement_timeout_ms(50);
    let store = PostgresStore::open(config).await.expect("opens");
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "BEGIN; LOCK TABLE chat.conversations").await;
    let accept = first_turn("1", "hi");
    let refused = store.accept(&scope(), &accept).await.expect_err("is refused");
    assert_eq!(refused.kind(), PersistErrorKind::Unavailable);
    assert!(refused.is_transient() && refused.to_string().contains("timeout"), "{refused}");
    run(&mut shell, "ROLLBACK").await;
    assert_eq!(store.accept(&scope(), &accept).await.ok(), Some(Accepted::New));
}

#[tokio::test]
async fn a_row_that_is_locked_too_long_is_a_transient_error() {
    let database = Database::create().await;
    let store = PostgresStore::open(database.config().with_lock_timeout_ms(50)).await;
    let store = store.expect("opens");
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "BEGIN; SELECT 1 FROM chat.turns FOR UPDATE").await;
    let close = completed(&accept, "yes");
    let refused = store.close_turn(&fence(&accept), &close).await.expect_err("is refused");
    assert!(refused.is_transient() && refused.to_string().contains("locked"), "{refused}");
    run(&mut shell, "ROLLBACK").await;
    store.close_turn(&fence(&accept), &close).await.expect("closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_costs_nobody_his_answer() {
    let database = Database::create().await;
    let store = database.store().await;
    let scope = scope();
    let turns: Vec<_> = (0..300).map(|n| first_turn(&n.to_string(), "hi")).collect();
    let mut shell = shell_at(&database.url()).await;
    let mut killed = 0;
    for wave in turns.chunks(20) {
        let working = wave.iter().map(|accept| {
            let (store, scope) = (&store, &scope);
            async move {
                let accepted = store.accept(scope, accept).await.expect("accepts");
                assert_eq!(accepted, Accepted::New);
                let close = completed(accept, "yes");
                store.close_turn(&fence(accept), &close).await.expect("closes");
            }
        });
        let killing = async {
            // Somewhere in the wave; where, is left to chance.
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..10_000))).await;
            number(&mut shell, CLOSE_OTHERS).await
        };
        let (_, now) = tokio::join!(join_all(working), killing);
        killed += now;
    }
    assert!(killed > 0, "no connection was killed");
    assert_eq!(number(&mut shell, "SELECT count(*) FROM chat.messages").await, 600);
    let open = "SELECT count(*) FROM chat.turns WHERE closed_at IS NULL";
    assert_eq!(number(&mut shell, open).await, 0);
}

/// Turn `name` in conversation `c-1`, below `parent`.
fn turn_in_one_conversation(name: &str, parent: Option<&str>) -> Accept {
    let mut accept = first_turn(name, "hi");
    let conversation = conversation_id("c-1");
    accept.conversation.id = conversation.clone();
    accept.turn.conversation = conversation.clone();
    accept.turn.kind = TurnKind::New { parent: parent.map(message_id), parts: Vec::new() };
    if let Some(message) = &mut accept.user_message {
        message.conversation = conversation;
        message.parent = parent.map(message_id);
    }
    accept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_turns_in_one_conversation_do_not_deadlock() {
    let database = Database::create().await;
    let (one, two) = (database.store().await, database.store().await);
    let scope = scope();
    let turns: Vec<_> = (0..200)
        .map(|n| {
            let parent = (n >= 20).then(|| format!("r-{}", n - 20));
            turn_in_one_conversation(&n.to_string(), parent.as_deref())
        })
        .collect();
    for wave in turns.chunks(20) {
        let turns = wave.iter().enumerate().map(|(place, accept)| {
            let (first, second) = if place % 2 == 0 { (&one, &two) } else { (&two, &one) };
            let scope = &scope;
            async move {
                let accepted = first.accept(scope, accept).await.expect("accepts");
                assert_eq!(accepted, Accepted::New);
                let close = completed(accept, "yes");
                second.close_turn(&fence(accept), &close).await.expect("closes");
            }
        });
        join_all(turns).await;
    }
    // What was written is read in its order: parents come before their children.
    let mut seen = std::collections::HashSet::new();
    let mut after = None;
    loop {
        let page = one.messages(&scope, &conversation_id("c-1"), after.as_ref(), 30).await;
        let page = page.expect("reads");
        for message in page.messages {
            assert!(message.parent.as_ref().is_none_or(|parent| seen.contains(parent)));
            assert!(seen.insert(message.id), "a message came twice");
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 400);
    let mut shell = shell_at(&database.url()).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(number(&mut shell, deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_and_a_reply_never_get_the_same_id() {
    let database = Database::create().await;
    let store = database.store().await;
    let scope = scope();
    for round in 0..30 {
        // In two conversations, so that no lock on a conversation keeps them apart.
        let message = first_turn(&format!("{round}-a"), "hi");
        let mut reply = first_turn(&format!("{round}-b"), "hi");
        reply.turn.reply = message.turn.user_message.clone();
        let (one, two) = tokio::join!(store.accept(&scope, &message), store.accept(&scope, &reply));
        let lost = match (one, two) {
            (Ok(Accepted::New), Err(lost)) | (Err(lost), Ok(Accepted::New)) => lost,
            both => panic!("{both:?}"),
        };
        assert_eq!(lost.kind(), PersistErrorKind::Conflict);
    }
}

#[tokio::test]
async fn a_cycle_in_a_damaged_tree_ends() {
    let database = Database::create().await;
    let store = database.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    store.close_turn(&fence(&accept), &completed(&accept, "yes")).await.expect("closes");
    let mut shell = shell_at(&database.url()).await;
    run(&mut shell, "UPDATE chat.messages SET parent = 'r-1'").await;
    run(&mut shell, "UPDATE chat.messages SET parent = 'u-1' WHERE id = 'r-1'").await;
    let (scope, conversation) = (scope(), conversation_id("c-1"));
    for limit in [1, 2, 3, 1_000] {
        let page = store.branch(&scope, &conversation, &accept.turn.reply, limit).await;
        assert!(page.expect("reads").messages.len() <= 2, "{limit}");
    }
    let page = store.branch(&scope, &conversation, &accept.turn.reply, 1_000).await;
    assert_eq!(page.expect("reads").next, None);
    let deleted = store.delete_subtree(&scope, &conversation, &accept.turn.reply).await;
    assert_eq!(deleted.ok(), Some(2));
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let database = Database::create().await;
    let store = database.store().await;
    let clone = store.clone();
    store.close().await;
    store.close().await;
    let refused = clone.conversation(&scope(), &conversation_id("c-1")).await;
    assert_eq!(refused.err().map(|error| error.kind()), Some(PersistErrorKind::Unavailable));
    let mut shell = shell_at(&database.url()).await;
    assert_eq!(number(&mut shell, CLOSE_OTHERS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_connections_wait_in_line() {
    let database = Database::create().await;
    let config: PostgresConfig = database.config().with_connections_max(2);
    let store = PostgresStore::open(config).await.expect("opens");
    let scope = scope();
    let turns: Vec<_> = (0..100).map(|n| first_turn(&n.to_string(), "hi")).collect();
    let answers = join_all(turns.iter().map(|accept| store.accept(&scope, accept))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::New))));
    let mut shell = shell_at(&database.url()).await;
    assert!(number(&mut shell, CLOSE_OTHERS).await <= 2);
}
