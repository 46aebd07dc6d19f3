//! Asks any server that speaks Chat Completions one question.
//!
//! `OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=qwen3:8b \
//!  cargo run -p chat-provider-openai --example ask -- why is the sky blue`
//!
//! Without `OPENAI_BASE_URL` it asks OpenAI with `OPENAI_API_KEY`. With `offline` as the only word it plays a recording.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that shows the port by itself, without a ledger"
)]

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use chat_provider::{CallPermit, ModelProvider, ModelRequest, OpenGate, ProviderEvent};
use chat_provider_openai::{OPENAI_BASE_URL, OPENAI_KEY_NAME, OpenAiConfig, OpenAiProvider};
use chat_transport::{HttpTransport, ScriptedReply, ScriptedTransport, TransportAdapter};
use chat_types::{
    ContentPart, GrantTerms, IdSourceExt, ModelId, ModelOptions, Money, Prompt, PromptItem,
    ProviderId, Purpose, Role, Section, StepGrant, StepKey, Tokens, UuidIds,
};
use futures::TryStreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_offline = words == ["offline"];
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let base_url =
        if is_offline { Some("http://offline.test/v1".to_owned()) } else { var("OPENAI_BASE_URL") };
    let model = var("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o-mini".to_owned());
    let base_url = base_url.unwrap_or_else(|| OPENAI_BASE_URL.to_owned());
    let config = OpenAiConfig {
        api_key: var(OPENAI_KEY_NAME).map(Into::into),
        ..OpenAiConfig::compatible(ProviderId::new("openai")?, base_url, ModelId::new(model)?)
    };
    let transport: Arc<dyn TransportAdapter> = if is_offline {
        let recording = include_str!("../tests/recordings/openai-text.sse");
        Arc::new(ScriptedTransport::new([ScriptedReply::event_stream().read(recording)]))
    } else {
        Arc::new(HttpTransport::default())
    };
    let provider = OpenAiProvider::new(config, transport)?;
    let parts = vec![ContentPart::text(words.join(" "))];
    let request = ModelRequest {
        model: provider.model_id().clone(),
        // Zero: the bound is taken from the bytes.
        input_tokens: Tokens::ZERO,
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
        media: Vec::new(),
        options: ModelOptions::default(),
        stream: true,
    };
    let prepared = provider.prepare(&request)?;
    // In a runtime the recorder grants this once the credit is held, and the journal is the gate.
    let ids = UuidIds;
    let terms = GrantTerms {
        key: StepKey { turn: ids.turn_id()?, step: 1 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(1_024),
        input_bound: prepared.input_bound,
        held: Money::ZERO,
        low: Vec::new(),
    };
    let permit = CallPermit::new(StepGrant::issue(terms), Arc::new(OpenGate));
    let mut reply = provider.send_completion(&prepared, &permit).await?;
    while let Some(events) = reply.try_next().await? {
        for event in events {
            match event {
                ProviderEvent::Text(text) => print!("{text}"),
                ProviderEvent::Finished(reason) => println!("\n[{reason:?}]"),
                other => println!("[{other:?}]"),
            }
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
