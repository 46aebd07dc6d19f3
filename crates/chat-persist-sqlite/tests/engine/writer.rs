//! What the writer promises: groups share a flush, nothing acknowledged is lost, several stores
//! share a file.

use crate::common::{World, at, completed, conversation_id, fence, first_turn, run, scope};
use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, HoldRequest,
    LegRequest,
};
use chat_persist::{Accepted, PersistErrorKind, PersistenceAdapter};
use chat_persist_sqlite::SqliteStore;
use chat_types::{AccountId, Money, StepKey, TurnId};
use futures::future::join_all;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_writes_share_few_flushes() {
    let world = World::new();
    let store = world.store().await;
    let (flushes, commands) = (store.flushes(), store.commands());
    let turns: Vec<_> = (0..100).map(|n| first_turn(&n.to_string(), "hi")).collect();
    let scope = scope();
    let answers = join_all(turns.iter().map(|accept| store.accept(&scope, accept))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::New))));
    assert_eq!(store.commands() - commands, 100);
    let flushes = store.flushes() - flushes;
    assert!((1..=25).contains(&flushes), "{flushes} flushes for 100 writes");
}

#[tokio::test]
async fn what_one_task_issues_together_is_one_flush() {
    let world = World::new();
    let store = world.store().await;
    let (one, two, scope) = (first_turn("1", "hi"), first_turn("2", "hi"), scope());
    let flushes = store.flushes();
    let (first, second) = tokio::join!(store.accept(&scope, &one), store.accept(&scope, &two));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(store.flushes() - flushes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_does_not_disturb_its_group() {
    let world = World::new();
    let store = world.store().await;
    let scope = scope();
    let mut turns: Vec<_> = (0..60).map(|n| first_turn(&n.to_string(), "hi")).collect();
    for turn in turns.iter_mut().step_by(3) {
        turn.segment.first_seq = 7;
    }
    let answers = join_all(turns.iter().map(|accept| store.accept(&scope, accept))).await;
    for (number, (accept, answer)) in turns.iter().zip(answers).enumerate() {
        let stored = store.turn(&scope, &accept.turn.id).await.expect("reads");
        assert_eq!(answer.is_ok(), number % 3 != 0);
        assert_eq!(stored.is_some(), number % 3 != 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_the_engine_fails_fails_alone() {
    let world = World::new();
    let store = world.store().await;
    let mut shell = world.shell().await;
    run(
        &mut shell,
        "CREATE TRIGGER trap BEFORE INSERT ON event_segments WHEN NEW.payload = '[13]'
         BEGIN SELECT RAISE(ABORT, 'trap'); END",
    )
    .await;
    let scope = scope();
    let mut turns: Vec<_> = (0..40).map(|n| first_turn(&n.to_string(), "hi")).collect();
    turns.iter_mut().skip(20).take(1).for_each(|turn| turn.segment.payload = "[13]".to_owned());
    let answers = join_all(turns.iter().map(|accept| store.accept(&scope, accept))).await;
    for (number, (accept, answer)) in turns.iter().zip(answers).enumerate() {
        assert_eq!(answer.is_ok(), number != 20, "write {number}: {answer:?}");
        let stored = store.turn(&scope, &accept.turn.id).await.expect("reads");
        assert_eq!(stored.is_some(), number != 20);
        let conversation = store.conversation(&scope, &accept.conversation.id).await;
        assert_eq!(conversation.expect("reads").is_some(), number != 20, "half a write stayed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_acknowledged() {
    let world = World::new();
    let small = SqliteStore::open(world.config().with_max_page_count(120)).await.expect("opens");
    let scope = scope();
    let turns: Vec<_> =
        (0..200).map(|n| first_turn(&n.to_string(), &"words and words ".repeat(100))).collect();
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for wave in turns.chunks(16) {
        let answers = join_all(wave.iter().map(|accept| small.accept(&scope, accept))).await;
        for (accept, answer) in wave.iter().zip(answers) {
            match answer {
                Ok(_) => acknowledged.push(accept),
                Err(error) => {
                    assert_eq!(error.kind(), PersistErrorKind::Full, "{error}");
                    refused.push(accept);
                }
            }
        }
    }
    assert!(acknowledged.len() > 10 && refused.len() > 10, "the quota lies in between");
    for accept in &acknowledged {
        let turn = small.turn(&scope, &accept.turn.id).await.expect("reads while it is full");
        assert_eq!(turn.map(|turn| turn.turn), Some(accept.turn.clone()));
    }
    small.close().await;

    let large = world.store().await;
    for accept in &refused {
        let turn = large.turn(&scope, &accept.turn.id).await.expect("reads");
        assert_eq!(turn, None, "a refused write has left something");
    }
    for accept in &acknowledged {
        let turn = large.turn(&scope, &accept.turn.id).await.expect("reads");
        assert_eq!(turn.map(|turn| turn.turn), Some(accept.turn.clone()));
        large.close_turn(&fence(accept), &completed(accept, "yes")).await.expect("goes on");
    }
    for accept in refused {
        large.accept(&scope, accept).await.expect("is accepted now");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_see_each_others_writes() {
    let world = World::new();
    let (one, two) = (world.store().await, world.store().await);
    let scope = scope();
    let turns: Vec<_> = (0..500).map(|n| first_turn(&n.to_string(), "hi")).collect();
    for wave in turns.chunks(50) {
        let writes = wave.iter().enumerate().map(|(number, accept)| {
            let (writer, reader) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
            let scope = &scope;
            async move {
                let answer = writer.accept(scope, accept).await.expect("accepts");
                assert_eq!(answer, Accepted::New);
                let seen = reader.turn(scope, &accept.turn.id).await.expect("reads");
                assert_eq!(seen.map(|turn| turn.turn), Some(accept.turn.clone()));
                // The other process goes on with it.
                let close = completed(accept, "yes");
                reader.close_turn(&fence(accept), &close).await.expect("closes");
                let again = writer.close_turn(&fence(accept), &close).await.expect_err("one wins");
                assert_eq!(again.kind(), PersistErrorKind::IllegalState);
            }
        });
        join_all(writes).await;
    }
    let page = one
        .conversations(
            &scope,
            &chat_persist::ConversationQuery {
                limit: 1_000,
                ..chat_persist::ConversationQuery::default()
            },
        )
        .await
        .expect("lists");
    assert_eq!(page.conversations.len(), 500);
}

#[tokio::test]
async fn a_store_that_is_dropped_has_kept_everything() {
    let world = World::new();
    let store = world.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    drop(store);
    let reopened = world.store().await;
    let turn = reopened.turn(&scope(), &accept.turn.id).await.expect("reads");
    assert_eq!(turn.map(|turn| turn.turn), Some(accept.turn.clone()));
    let page = reopened
        .branch(&scope(), &conversation_id("c-1"), &accept.turn.user_message, 10)
        .await
        .expect("reads");
    assert_eq!(Some(page.messages), accept.user_message.map(|message| vec![message]));
}

#[tokio::test]
async fn a_closed_store_refuses_and_its_file_is_whole() {
    let world = World::new();
    let store = world.store().await;
    let clone = store.clone();
    store.accept(&scope(), &first_turn("1", "hi")).await.expect("accepts");
    store.close().await;
    store.close().await;
    let write = clone.accept(&scope(), &first_turn("2", "hi")).await.expect_err("is closed");
    let read = clone.conversation(&scope(), &conversation_id("c-1")).await.expect_err("is closed");
    assert_eq!(write.kind(), PersistErrorKind::Unavailable);
    assert_eq!(read.kind(), PersistErrorKind::Unavailable);
    let wal = world.path.with_extension("db-wal");
    assert!(!wal.exists(), "the WAL was not moved into the file");
}

#[tokio::test]
async fn a_cycle_in_a_damaged_tree_ends() {
    let world = World::new();
    let store = world.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    store.close_turn(&fence(&accept), &completed(&accept, "yes")).await.expect("closes");
    let mut shell = world.shell().await;
    run(&mut shell, "UPDATE messages SET parent = (SELECT max(pk) FROM messages)").await;
    let (scope, conversation) = (scope(), conversation_id("c-1"));
    for limit in [1, 2, 3, 1_000] {
        let page = store.branch(&scope, &conversation, &accept.turn.reply, limit).await;
        let page = page.expect("reads");
        assert!(page.messages.len() <= 2, "{limit}");
    }
    let page = store.branch(&scope, &conversation, &accept.turn.reply, 1_000).await;
    assert_eq!(page.expect("reads").next, None);
    let deleted = store.delete_subtree(&scope, &conversation, &accept.turn.reply).await;
    assert_eq!(deleted.ok(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_never_hold_more_than_there_is() {
    let world = World::new();
    let (one, two) = (world.store().await, world.store().await);
    let scope = scope();
    let account = AccountId::new("ada").expect("valid");
    let spec = AccountSpec {
        id: account.clone(),
        owner: None,
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(1_000),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    one.open_account(&scope, &spec, at(1)).await.expect("opens");
    let amount = Money::from_nano_usd(100);
    let requests: Vec<_> = (0..256)
        .map(|number| HoldRequest {
            key: StepKey { turn: TurnId::new(format!("t-{number}")).expect("valid"), step: 1 },
            legs: vec![LegRequest {
                account: account.clone(),
                amount,
                floor: amount,
                refill: None,
                warn_below: None,
            }],
            at: at(2),
        })
        .collect();
    let stores = [&one, &two].into_iter().cycle();
    let holds = requests.iter().zip(stores);
    let answers = join_all(holds.map(|(request, store)| store.hold(&scope, request))).await;
    let given = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(given, 10);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.kind(), BalanceErrorKind::InsufficientFunds);
    }
    let account = two.account(&scope, &account).await.expect("reads");
    assert_eq!(account.map(|account| account.held), Some(Money::from_nano_usd(1_000)));
}

#[tokio::test]
async fn a_write_that_does_not_fit_leaves_its_group_whole() {
    let world = World::new();
    let store = world.store().await;
    let (scope, accept) = (scope(), first_turn("1", "hi"));
    let fence = fence(&accept);
    let accepted = store.accept(&scope, &accept).await;
    assert!(matches!(accepted, Ok(Accepted::New)));
    let again = store.accept(&scope, &accept).await;
    assert!(matches!(again, Ok(Accepted::Existing(_))));
    // A stranger to the fence changes nothing, in a group with one who fits.
    let late = chat_persist::Fence { epoch: 2, ..fence.clone() };
    let close = completed(&accept, "yes");
    let (refused, closed) =
        tokio::join!(store.close_turn(&late, &close), store.close_turn(&fence, &close));
    assert_eq!(refused.err().map(|error| error.kind()), Some(PersistErrorKind::Fenced));
    assert!(closed.is_ok());
    // And behind him, as the last of the group.
    let second = first_turn("2", "hi");
    let (kept, refused) =
        tokio::join!(store.accept(&scope, &second), store.close_turn(&fence, &close));
    assert!(matches!(kept, Ok(Accepted::New)));
    assert_eq!(refused.err().map(|error| error.kind()), Some(PersistErrorKind::IllegalState));
    let turn = store.turn(&scope, &second.turn.id).await.expect("reads");
    assert_eq!(turn.map(|turn| turn.turn), Some(second.turn));
}
