//! T3: one key, one call.

use chat_core::TurnRequest;
use chat_types::{Cursor, TurnState};
use futures::future::join_all;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn t3_64_sends_with_one_key_make_one_call_and_one_turn() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = || TurnRequest::text("hi").with_idempotency_key(key("k"));
    let turns = join_all((0..64).map(|_| send(&client, request()))).await;
    let first = &turns[0];
    for turn in &turns {
        assert_eq!(turn.id(), first.id());
        assert_eq!(turn.conversation(), first.conversation());
        assert_eq!(turn.user_message(), first.user_message());
        assert_eq!(turn.reply(), first.reply());
        assert_eq!(end_of(turn).await.state, TurnState::Completed);
    }
    let attached = turns.iter().filter(|turn| turn.was_attached());
    assert_eq!(attached.count(), 63);
    assert_eq!(world.provider.calls().len(), 1);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn t3_a_key_stays_with_its_turn_after_the_end_and_in_another_process() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = || TurnRequest::text("hi").with_idempotency_key(key("k"));
    let (first, outcome) = complete(&client, request()).await;
    let other = world.start().await;
    let (again, outcome_again) = complete(&other, request()).await;
    assert!(again.was_attached());
    assert_eq!(again.id(), first.id());
    assert_eq!(outcome_again, outcome);
    let first_events = read(&client, first.id(), Cursor::START).await;
    assert_eq!(read(&other, first.id(), Cursor::START).await, first_events);
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn t3_one_key_for_two_requests_is_a_conflict() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = |said: &str| TurnRequest::text(said).with_idempotency_key(key("k"));
    complete(&client, request("hi")).await;
    for other in [
        request("ho"),
        request("hi").with_model("scripted/scripted-1"),
        request("hi").with_instructions("be brief"),
        request("hi").in_conversation_named(conversation_id("c")),
    ] {
        let refused = client.send_message(&ada(), other).await;
        assert_eq!(refused.expect_err("refused").code(), "idempotency_conflict");
    }
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn t3_another_users_key_is_another_key() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = || TurnRequest::text("hi").with_idempotency_key(key("k"));
    let (ada_turn, _) = complete(&client, request()).await;
    let bob_turn = client.send_message(&scope("bob"), request()).await;
    let bob_turn = bob_turn.expect("accepted");
    assert!(!bob_turn.was_attached());
    assert_ne!(bob_turn.id(), ada_turn.id());
    end_of(&bob_turn).await;
    assert_eq!(world.provider.calls().len(), 2);
}
