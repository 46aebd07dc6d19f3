//! What decoding a reply of 200 chunks costs in CPU time, over a scripted network.
//!
//! `cargo run --release -p chat-provider-openai --example decode_cost`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, without a ledger"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use chat_provider::{CallPermit, ModelProvider, ModelRequest, OpenGate, Prepared};
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_transport::{ScriptedReply, ScriptedTransport};
use chat_types::{
    GrantTerms, ModelId, ModelOptions, Money, Prompt, ProviderId, Purpose, StepGrant, StepKey,
    Tokens, TurnId,
};
use futures::TryStreamExt;

const CHUNKS: u32 = 200;
const REPLIES: u32 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let head = r#"{"id":"chatcmpl-AbC123","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_51db84afab","choices":[{"index":0,"delta":"#;
    let event = |delta: &str, end: &str| {
        format!(
            "data: {head}{delta},\"logprobs\":null,\"finish_reason\":{end}}}],\"usage\":null}}\n\n"
        )
    };
    let mut frames: Vec<String> = (0..CHUNKS)
        .map(|chunk| event(&format!("{{\"content\":\" w{chunk}\"}}"), "null"))
        .collect();
    frames.push(event("{}", "\"stop\""));
    frames.push("data: [DONE]\n\n".to_owned());

    let script = ScriptedTransport::new([]);
    let id = ProviderId::new("bench")?;
    let config = OpenAiConfig::compatible(id, "http://offline.test/v1", ModelId::new("m")?);
    let provider = OpenAiProvider::new(config, Arc::new(script.clone()))?;
    let request = ModelRequest {
        model: ModelId::new("m")?,
        prompt: Prompt::default(),
        options: ModelOptions::default(),
        stream: true,
        input_tokens: Tokens::ZERO,
    };
    let prepared = provider.prepare(&request)?;
    let terms = GrantTerms {
        key: StepKey {
            turn: TurnId::new("bench")?,
            step: 1,
        },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(1_024),
        input_bound: prepared.input_bound,
        held: Money::ZERO,
    };
    let permit = CallPermit::new(StepGrant::issue(terms), Arc::new(OpenGate));
    for (name, frames_a_read) in [
        ("one read per chunk", 1),
        ("16 chunks a read", 16),
        ("one read", 300),
    ] {
        let reads: Vec<bytes::Bytes> = frames
            .chunks(frames_a_read)
            .map(|frames| frames.concat().into())
            .collect();
        let mut spent_us = 0;
        let mut batches = 0;
        for _ in 0..REPLIES {
            script.push(
                reads
                    .iter()
                    .fold(ScriptedReply::event_stream(), |reply, read| {
                        reply.read(read.clone())
                    }),
            );
            let begun = Instant::now();
            batches = reply(&provider, &prepared, &permit).await?;
            spent_us += begun.elapsed().as_micros();
        }
        let mean_us = spent_us / u128::from(REPLIES);
        println!("{name}: {mean_us} us a reply of {CHUNKS} chunks, {batches} batches");
    }
    Ok(())
}

async fn reply(
    provider: &OpenAiProvider,
    prepared: &Prepared,
    permit: &CallPermit,
) -> Result<usize, Box<dyn Error>> {
    let mut stream = provider.send_completion(prepared, permit).await?;
    let mut batches = 0;
    while stream.try_next().await?.is_some() {
        batches += 1;
    }
    Ok(batches)
}
