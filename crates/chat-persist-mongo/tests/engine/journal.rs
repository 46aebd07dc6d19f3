//! The turn journal underneath: stored shapes, crashes between two writes, long logs, lost owners.

use std::sync::Arc;

use chat_persist::{
    Accept, Accepted, AttemptAmount, Checkpoint, EventSegment, Expired, Fence, Maintenance as _,
    NewStep, NewTurn, PersistErrorKind, PersistenceAdapter as _, StepClose, TurnClose, TurnRecord,
};
use chat_persist_mongo::MongoStore;
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, ModelRef, Money,
    Purpose, Role, Scope, StepKey, Timestamp, Tokens, TurnFailure, TurnKind, TurnState, Usage,
    UsageSource,
};
use mongodb::bson::{Bson, Document, doc};

use crate::fresh::{Fresh, Server};

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid id")
}

fn scope() -> Scope {
    Scope::new(id("acme"), id("ada"))
}

fn model() -> ModelRef {
    id("example/echo")
}

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

fn conversation() -> ConversationId {
    id("c-1")
}

fn message(name: &str, parent: Option<&str>, role: Role) -> Message {
    Message {
        id: id(name),
        conversation: conversation(),
        parent: parent.map(id),
        role,
        parts: vec![ContentPart::text(format!("text of {name}"))],
        created_at: at(1_000),
        turn: Some(id("t-1")),
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

fn segment(first_seq: u64, last_seq: u64, payload: impl Into<String>) -> EventSegment {
    EventSegment { first_seq, last_seq, payload: payload.into() }
}

/// The first turn of a conversation.
fn sent() -> Accept {
    Accept {
        conversation: Conversation::new(conversation(), "a title", at(1_000)),
        user_message: Some(message("u-1", None, Role::User)),
        turn: NewTurn {
            id: id("t-1"),
            conversation: conversation(),
            kind: TurnKind::New { parent: None, parts: vec![ContentPart::text("Hi")] },
            user_message: id("u-1"),
            reply: id("r-1"),
            model: model(),
            owner: id("o-1"),
            idempotency_key: Some(id("k-1")),
            request_hash: "00ff".to_owned(),
            created_at: at(1_000),
        },
        segment: segment(1, 1, "[1]"),
    }
}

fn fence(epoch: u64) -> Fence {
    Fence { scope: scope(), turn: id("t-1"), epoch }
}

fn step() -> NewStep {
    NewStep {
        step: 1,
        purpose: Purpose::Reply,
        model: model(),
        input_bound: Tokens::new(200),
        input_estimate: Tokens::new(150),
        opened_at: at(1_500),
        tier: None,
        dispatched: true,
    }
}

/// The end with a reply, after the first event; step 1 is settling.
fn completed() -> TurnClose {
    let amount = AttemptAmount {
        attempt: 1,
        usage: Usage {
            input_uncached: Tokens::new(100),
            output: Tokens::new(9_007_199_254_740_993),
            ..Usage::default()
        },
        source: UsageSource::Provider,
        amount: Money::from_nano_usd(123_456),
        price_version: "2026-01".to_owned(),
        provider_request_id: Some("$req.1".to_owned()),
    };
    TurnClose {
        state: TurnState::Completed,
        message: Some(message("r-1", Some("u-1"), Role::Assistant)),
        steps: vec![StepClose { step: 1, amounts: vec![amount] }],
        segment: segment(2, 2, "[2]"),
        failure: Some(TurnFailure::new("odd", "for the shape only", true)),
        closed_at: at(2_000),
    }
}

async fn run(store: &MongoStore) {
    let accepted = store.accept(&scope(), &sent()).await;
    assert_eq!(accepted.expect("accepts"), Accepted::New);
    store.open_step(&fence(1), &step()).await.expect("opens");
}

async fn complete(store: &MongoStore) {
    run(store).await;
    store.close_turn(&fence(1), &completed()).await.expect("closes");
}

/// What a user can see of the conversation and its turn.
#[derive(Debug, PartialEq)]
struct Seen {
    conversation: Option<Conversation>,
    messages: Vec<Message>,
    turn: Option<TurnRecord>,
}

async fn seen(store: &MongoStore) -> Seen {
    Seen {
        conversation: store.conversation(&scope(), &conversation()).await.expect("reads"),
        messages: store
            .messages(&scope(), &conversation(), None, 10)
            .await
            .expect("reads")
            .messages,
        turn: store.turn(&scope(), &id("t-1")).await.expect("reads"),
    }
}

/// The collections whose writes follow the turn's own document.
const FOLLOWING: [&str; 2] = ["messages", "conversations"];

/// Makes every further write to a collection fail, as if the process died there; or no more.
async fn break_writes(fresh: &Fresh, collection: &str, broken: bool) {
    let rule = if broken {
        doc! { "never": { "$exists": true } }
    } else {
        Document::new()
    };
    let command = doc! { "collMod": collection, "validator": rule };
    fresh.client.database(&fresh.name).run_command(command).await.expect("changes the rule");
}

async fn turn_document(fresh: &Fresh) -> Document {
    let turns = fresh.client.database(&fresh.name).collection::<Document>("runtime_turns");
    turns.find_one(Document::new()).await.expect("reads").expect("one turn")
}

/// A document as `field: Type value` lines.
fn typed(value: &Bson, depth: usize) -> String {
    let inside = |name: &str, value: &Bson| {
        format!("\n{}{name}: {}", "  ".repeat(depth), typed(value, depth + 1))
    };
    match value {
        Bson::Document(document) => document.iter().map(|(k, v)| inside(k, v)).collect(),
        Bson::Array(list) if list.is_empty() => "Array of nothing".to_owned(),
        Bson::Array(list) => list.iter().map(|value| inside("-", value)).collect(),
        Bson::ObjectId(_) => "ObjectId".to_owned(),
        other => format!("{:?} {other}", other.element_type()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_stored_like_this() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    complete(&store).await;
    insta::assert_snapshot!(typed(&Bson::from(turn_document(&fresh).await), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_of_a_newer_program_is_left_alone() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    run(&store).await;
    let turns = fresh.client.database(&fresh.name).collection::<Document>("runtime_turns");
    let newer = doc! { "$set": { "v": 99 } };
    turns.update_one(Document::new(), newer).await.expect("updates");
    let read = store.turn(&scope(), &id("t-1")).await;
    assert_eq!(read.expect_err("refuses").kind(), PersistErrorKind::NewerSchema);
}

/// What an undisturbed accept, and an undisturbed end, look like.
async fn undisturbed(server: Server, ended: bool) -> Seen {
    let fresh = Fresh::on(server).await;
    let store = fresh.open().await;
    if ended {
        complete(&store).await;
    } else {
        store.accept(&scope(), &sent()).await.expect("accepts");
    }
    seen(&store).await
}

/// A standalone server on which the accept was cut off after the turn's own document, before a
/// write to `collection`.
async fn accept_cut_off(collection: &str) -> (Fresh, Arc<MongoStore>) {
    let fresh = Fresh::on(Server::Standalone).await;
    let store = fresh.open().await;
    break_writes(&fresh, collection, true).await;
    store.accept(&scope(), &sent()).await.expect_err("is cut off");
    break_writes(&fresh, collection, false).await;
    assert!(turn_document(&fresh).await.contains_key("pending"), "the turn's document is there");
    (fresh, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_cut_off_is_completed_by_a_repeat() {
    for collection in FOLLOWING {
        let (_fresh, store) = accept_cut_off(collection).await;
        let expected = undisturbed(Server::Standalone, false).await;
        let accepted = store.accept(&scope(), &sent()).await.expect("accepts");
        let record = expected.turn.clone().expect("has a turn");
        assert_eq!(accepted, Accepted::Existing(Box::new(record)));
        assert_eq!(seen(&store).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_cut_off_is_completed_at_open() {
    for collection in FOLLOWING {
        let (fresh, _store) = accept_cut_off(collection).await;
        let reopened = fresh.open().await;
        assert!(!turn_document(&fresh).await.contains_key("pending"), "nothing is pending");
        assert_eq!(seen(&reopened).await, undisturbed(Server::Standalone, false).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_cut_off_is_completed_by_recovery() {
    for collection in FOLLOWING {
        let (_fresh, store) = accept_cut_off(collection).await;
        let lapsed = store.lapsed_turns(at(9_000), 10).await.expect("finds");
        let messages = store.messages(&scope(), &conversation(), None, 10).await.expect("reads");
        assert_eq!(messages.messages, [message("u-1", None, Role::User)]);
        let taken = store.take_over(&lapsed[0], &id("o-2")).await.expect("takes over");
        assert_eq!(taken, Some(fence(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_accept_whose_message_id_another_program_took_is_taken_back() {
    let (fresh, store) = accept_cut_off("messages").await;
    let messages = fresh.client.database(&fresh.name).collection::<Document>("messages");
    let other = doc! {
        "messageId": "u-1", "conversationId": "another", "user": "ada", "tenantId": "acme",
        "parentMessageId": "00000000-0000-0000-0000-000000000000", "isCreatedByUser": true,
        "text": "somebody else's", "createdAt": mongodb::bson::DateTime::from_millis(1),
    };
    messages.insert_one(other).await.expect("writes");
    assert_eq!(store.turn(&scope(), &id("t-1")).await.expect("reads"), None);
    let again = store.accept(&scope(), &sent()).await;
    assert_eq!(again.expect_err("the id is taken").kind(), PersistErrorKind::Conflict);
    let expected = Seen { conversation: None, messages: Vec::new(), turn: None };
    assert_eq!(seen(&store).await, expected);
}

/// A standalone server on which the end was cut off after the turn's own document, before a write
/// to `collection`.
async fn end_cut_off(collection: &str) -> (Fresh, Arc<MongoStore>) {
    let fresh = Fresh::on(Server::Standalone).await;
    let store = fresh.open().await;
    run(&store).await;
    break_writes(&fresh, collection, true).await;
    store.close_turn(&fence(1), &completed()).await.expect_err("is cut off");
    break_writes(&fresh, collection, false).await;
    assert!(turn_document(&fresh).await.contains_key("pending"), "the end is decided");
    (fresh, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_is_completed_by_a_reader() {
    for collection in FOLLOWING {
        let (_fresh, store) = end_cut_off(collection).await;
        let turn = store.turn(&scope(), &id("t-1")).await.expect("reads").expect("is there");
        assert_eq!(turn.state, TurnState::Completed);
        assert_eq!(seen(&store).await, undisturbed(Server::Standalone, true).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_is_completed_by_a_reader_of_events() {
    for collection in FOLLOWING {
        let (_fresh, store) = end_cut_off(collection).await;
        let page = store.events(&scope(), &id("t-1"), 0, 10).await.expect("reads");
        assert_eq!(page.state, Some(TurnState::Completed));
        assert_eq!(seen(&store).await, undisturbed(Server::Standalone, true).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_is_completed_by_a_repeat_which_has_not_won() {
    for collection in FOLLOWING {
        let (_fresh, store) = end_cut_off(collection).await;
        let again = store.close_turn(&fence(1), &completed()).await;
        assert_eq!(again.expect_err("has ended").kind(), PersistErrorKind::IllegalState);
        let messages = store.messages(&scope(), &conversation(), None, 10).await.expect("reads");
        assert_eq!(messages.messages.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_is_completed_by_the_next_turn() {
    for collection in FOLLOWING {
        let (_fresh, store) = end_cut_off(collection).await;
        let mut next = sent();
        next.turn.id = id("t-2");
        next.turn.idempotency_key = None;
        next.turn.user_message = id("u-2");
        next.turn.reply = id("r-2");
        next.user_message =
            Some(Message { turn: Some(id("t-2")), ..message("u-2", Some("r-1"), Role::User) });
        let accepted = store.accept(&scope(), &next).await.expect("its parent is there by now");
        assert_eq!(accepted, Accepted::New);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_in_a_transaction_has_written_nothing() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    run(&store).await;
    let before = seen(&store).await;
    break_writes(&fresh, "messages", true).await;
    store.close_turn(&fence(1), &completed()).await.expect_err("is cut off");
    break_writes(&fresh, "messages", false).await;
    assert_eq!(seen(&store).await, before);
    store.close_turn(&fence(1), &completed()).await.expect("closes");
    assert_eq!(seen(&store).await, undisturbed(Server::ReplicaSet, true).await);
}

/// Checkpoints from event 2, one event of 3 KB each, up to event `last`.
async fn checkpoints(store: &MongoStore, last: u64) {
    for seq in 2..=last {
        let segment = segment(seq, seq, format!("[\"{}\"]", "x".repeat(3_000)));
        let checkpoint = Checkpoint { segment, streaming_step: None };
        store.checkpoint(&fence(1), &checkpoint).await.expect("appends");
    }
}

/// The whole log by pages of `limit`, as the numbers of its segments.
async fn log(store: &MongoStore, limit: u32) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let after = seen.last().copied().unwrap_or(0);
        let page = store.events(&scope(), &id("t-1"), after, limit).await.expect("reads");
        if page.segments.is_empty() {
            return seen;
        }
        seen.extend(page.segments.iter().map(|segment| segment.last_seq));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_leaves_the_turns_document_small() {
    for server in [Server::ReplicaSet, Server::Standalone] {
        let fresh = Fresh::on(server).await;
        let store = fresh.open().await;
        run(&store).await;
        checkpoints(&store, 100).await;
        let size = turn_document(&fresh).await.to_vec().expect("has bytes").len();
        assert!(size < 80 * 1024, "{size} bytes");
        for limit in [1, 7, 1_000] {
            assert!(log(&store, limit).await.into_iter().eq(1..=100), "pages of {limit}");
        }

        let close = TurnClose { segment: segment(101, 101, "[]"), ..completed() };
        store.close_turn(&fence(1), &close).await.expect("closes");
        assert!(log(&store, 10).await.into_iter().eq(1..=101));
        let swept = store.sweep(at(3_000), at(3_000), 10).await.expect("sweeps");
        assert_eq!(swept, Expired { conversations: 0, event_logs: 1 });
        let events = fresh.client.database(&fresh.name).collection::<Document>("runtime_events");
        assert_eq!(events.count_documents(Document::new()).await.expect("counts"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spill_cut_off_is_done_again() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    run(&store).await;
    checkpoints(&store, 10).await;
    // A copy was made, then the process died before the tail was cut.
    let tail = turn_document(&fresh).await.get_array("tail").expect("has a tail").clone();
    let events = fresh.client.database(&fresh.name).collection::<Document>("runtime_events");
    for copied in tail.iter().take(5).filter_map(Bson::as_document) {
        let mut copy = copied.clone();
        let last_seq = copy.get_i64("last_seq").expect("has a last event");
        copy.insert("_id", doc! { "tenant": "acme", "turn": "t-1", "last_seq": last_seq });
        copy.insert("tenant", "acme");
        copy.insert("user", "ada");
        events.insert_one(copy).await.expect("copies");
    }
    assert!(log(&store, 4).await.into_iter().eq(1..=10), "a copy is not read twice");
    for seq in 11..=60 {
        let segment = segment(seq, seq, format!("[\"{}\"]", "x".repeat(3_000)));
        let checkpoint = Checkpoint { segment, streaming_step: None };
        store.checkpoint(&fence(1), &checkpoint).await.expect("appends");
    }
    assert!(log(&store, 4).await.into_iter().eq(1..=60));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_a_conversation_that_the_server_expired_goes() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    complete(&store).await;
    let database = fresh.client.database(&fresh.name);
    for name in ["conversations", "messages"] {
        database.collection::<Document>(name).delete_many(Document::new()).await.expect("deletes");
    }
    let key = StepKey { turn: id("t-1"), step: 1 };
    let sweep = async || store.sweep(at(3_000), at(0), 10).await.expect("sweeps");
    sweep().await;
    let kept = store.turn(&scope(), &id("t-1")).await.expect("reads");
    assert!(kept.is_some(), "the ledger does not have its step yet");
    store.mark_settled(&[(scope().tenant, key)]).await.expect("marks");
    sweep().await;
    assert_eq!(store.turn(&scope(), &id("t-1")).await.expect("reads"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_beats_while_it_is_looked_for_keeps_its_turns() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    store.heartbeat(&id("o-1"), at(5_000)).await.expect("beats");
    run(&store).await;
    assert_eq!(store.lapsed_turns(at(4_999), 10).await.expect("finds"), []);
    assert_eq!(store.lapsed_turns(at(5_000), 10).await.expect("finds").len(), 1);
}

/// It comes after the user's message even if the process that wrote that has a clock that runs ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_a_new_owner_comes_after_its_question() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    run(&store).await;
    let messages = fresh.client.database(&fresh.name).collection::<Document>("messages");
    let mut asked = messages.find_one(Document::new()).await.expect("reads").expect("one message");
    messages.delete_many(Document::new()).await.expect("deletes");
    let ahead = [0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    asked.insert("_id", mongodb::bson::oid::ObjectId::from_bytes(ahead));
    messages.insert_one(asked).await.expect("writes");

    let lapsed = store.lapsed_turns(at(9_000), 10).await.expect("finds");
    let taken = store.take_over(&lapsed[0], &id("o-2")).await.expect("takes over");
    store.close_turn(&taken.expect("nobody was faster"), &completed()).await.expect("closes");
    let page = store.messages(&scope(), &conversation(), None, 10).await.expect("reads");
    let order: Vec<&MessageId> = page.messages.iter().map(|message| &message.id).collect();
    assert_eq!(order, [&id::<MessageId>("u-1"), &id("r-1")]);
}
