//! Asks the example provider one question: no key, no network, no store.
//!
//! `cargo run -p chat-provider-example --example echo -- hello there`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that shows the port by itself, without a ledger"
)]

use std::error::Error;
use std::sync::Arc;

use chat_provider::{CallPermit, ModelProvider, ModelRequest, OpenGate, ProviderEvent};
use chat_provider_example::ExampleProvider;
use chat_types::{
    ContentPart, GrantTerms, ModelOptions, Money, Prompt, PromptItem, Purpose, Role, Section,
    StepGrant, StepKey, Tokens, TurnId,
};
use futures::TryStreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let provider = ExampleProvider::new()?.with_delay_ms(50);
    let counter = provider.counter(&provider.models().remove(0));
    let parts = vec![ContentPart::text(words.join(" "))];
    let request = ModelRequest {
        model: provider.model_id().clone(),
        input_tokens: counter.count_message(Role::User, &parts),
        media: Vec::new(),
        prompt: Prompt {
            items: vec![PromptItem {
                section: Section::User,
                role: Role::User,
                parts,
                source: None,
                cache_mark: false,
            }],
            tools: Vec::new(),
        },
        options: ModelOptions::default(),
        stream: true,
    };
    let prepared = provider.prepare(&request)?;
    // In a runtime the recorder grants this once the credit is held, and the journal is the gate.
    let terms = GrantTerms {
        key: StepKey { turn: TurnId::new("example")?, step: 1 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(64),
        input_bound: prepared.input_bound,
        held: Money::ZERO,
        low: Vec::new(),
    };
    let permit = CallPermit::new(StepGrant::issue(terms), Arc::new(OpenGate));
    let mut reply = provider.send_completion(&prepared, &permit).await?;
    while let Some(events) = reply.try_next().await? {
        for event in events {
            match event {
                ProviderEvent::Text(text) => println!("{}", text.trim_end()),
                other => println!("  {other:?}"),
            }
        }
    }
    Ok(())
}
