//! One turn over the in-memory references.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use std::sync::Arc;

use chat_balance::MemoryLedger;
use chat_core::{BaseClientBuilder, TurnRequest};
use chat_persist::MemoryStore;
use chat_provider::{ProviderRegistry, ScriptedProvider, ScriptedReply};
use chat_types::{Cursor, Folded, Scope, TenantId, TurnState, UserId};
use chat_usage::{MemoryUsageStore, PriceBook};
use futures::StreamExt;

#[tokio::test]
async fn a_turn_is_streamed_stored_and_settled() {
    let provider = ScriptedProvider::new(vec![ScriptedReply::text(&["Hel", "lo"])]).expect("valid");
    let prices = PriceBook::from_toml(include_str!("scripted_prices.toml")).expect("valid");
    let client = BaseClientBuilder::new(
        Arc::new(MemoryStore::new()),
        Arc::new(MemoryLedger::new()),
        Arc::new(MemoryUsageStore::new()),
        ProviderRegistry::new().with(Arc::new(provider)),
        prices,
    )
    .start()
    .await
    .expect("starts");
    let scope = Scope::new(
        TenantId::new("default").expect("valid"),
        UserId::new("ada").expect("valid"),
    );
    let turn = client
        .send_message(&scope, TurnRequest::text("hi"))
        .await
        .expect("accepted");
    let events: Vec<_> = turn
        .events(Cursor::START)
        .await
        .expect("reads")
        .map(|event| event.expect("reads"))
        .collect()
        .await;
    let outcome = turn.outcome().await.expect("ends");
    assert_eq!(outcome.state, TurnState::Completed);
    let folded = Folded::from_events(events.iter().map(AsRef::as_ref));
    assert_eq!(folded.parts, outcome.message.expect("stored").parts);
    client.drain().await;
    let audit = client.audit().run().await.expect("reads");
    assert!(audit.is_sound(), "{audit:?}");
    assert_eq!(
        (
            audit.usage_rows,
            audit.ledger.entries,
            audit.steps_unsettled
        ),
        (1, 1, 0)
    );
}
