//! One turn in memory: its events as they come, what it cost, and the proof of the books.
//!
//! `cargo run -p chat-core --example one_turn`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use chat_balance::MemoryLedger;
use chat_core::{BaseClientBuilder, OneAccountPerUser, TurnRequest};
use chat_persist::MemoryStore;
use chat_provider::{ProviderRegistry, ScriptedProvider, ScriptedReply};
use chat_types::{Cursor, Money, Scope, TenantId, UserId};
use chat_usage::{MemoryUsageStore, PriceBook};
use futures::StreamExt;

/// A made-up price for every scripted model, in USD per million tokens.
const PRICES: &str = r#"
book = "example"
source = "made up"
licence = "none"

[[price]]
model = "scripted/*"
valid_from = 1970-01-01
input = "1.00"
output = "2.00"
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reply = ScriptedReply::text(&["The capital ", "of France ", "is Paris."]);
    let provider = ScriptedProvider::new(vec![reply])?;
    let client = BaseClientBuilder::new(
        Arc::new(MemoryStore::new()),
        Arc::new(MemoryLedger::new()),
        Arc::new(MemoryUsageStore::new()),
        ProviderRegistry::new().with(Arc::new(provider)),
        PriceBook::from_toml(PRICES)?,
    )
    .accounts(Arc::new(OneAccountPerUser::limited(Money::from_usd(1)?)))
    .instructions("Answer in one sentence.")
    .start()
    .await?;

    let scope = Scope::new(TenantId::new("default")?, UserId::new("ada")?);
    let request = TurnRequest::text("What is the capital of France?");
    let explained = client.explain(&scope, &request).await?;
    println!("would send {} tokens", explained.report.input_tokens);
    println!("would hold {}", explained.quote.amount);

    let turn = client.send_message(&scope, request).await?;
    let mut events = turn.events(Cursor::START).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        println!("{:>3} {}", event.seq, serde_json::to_string(&event.event)?);
    }
    let outcome = turn.outcome().await?;
    println!("ended as {} for {}", outcome.state.as_str(), outcome.cost);

    client.drain().await;
    let audit = client.audit().run().await?;
    println!("the books are sound: {}", audit.is_sound());
    Ok(())
}
