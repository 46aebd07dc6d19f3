//! What decoding a reply of 200 chunks costs in CPU time, from the response head to the last event.
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

use async_trait::async_trait;
use bytes::Bytes;
use chat_provider::{CallPermit, ModelProvider, ModelRequest, OpenGate, Prepared};
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_transport::{
    TimedTransport, TransportAdapter, TransportError, TransportRequest, TransportResponse,
};
use chat_types::{
    GrantTerms, ModelId, ModelOptions, Money, Prompt, ProviderId, Purpose, StepGrant, StepKey,
    Tokens, TurnId,
};
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

const CHUNKS: u32 = 200;
const REPLIES: u32 = 2_000;

/// Gives every request the same reply, whose reads come one by one: each is waited for.
#[derive(Debug)]
struct Replay {
    reads: Vec<Bytes>,
}

#[async_trait]
impl TransportAdapter for Replay {
    async fn send(&self, _: TransportRequest) -> Result<TransportResponse, TransportError> {
        let reads = stream::iter(self.reads.clone()).then(async |read| {
            tokio::task::yield_now().await;
            Ok(read)
        });
        let event_stream = HeaderValue::from_static("text/event-stream");
        Ok(TransportResponse {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, event_stream)]),
            body: Box::pin(reads),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let head = r#"{"id":"chatcmpl-AbC123","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_51db84afab","choices":[{"index":0,"delta":"#;
    let event = |delta: &str, end: &str, tail: &str| {
        format!(
            "data: {head}{delta},\"logprobs\":null,\"finish_reason\":{end}}}],\"usage\":null{tail}}}\n\n"
        )
    };
    let frames = |are_alike: bool| {
        let chunk = |chunk: u32| {
            let tail = format!(",\"obfuscation\":\"{chunk:08}\"");
            let tail = if are_alike { "" } else { tail.as_str() };
            event(&format!("{{\"content\":\" w{chunk}\"}}"), "null", tail)
        };
        let end = [event("{}", "\"stop\"", ""), "data: [DONE]\n\n".to_owned()];
        (0..CHUNKS).map(chunk).chain(end).collect::<Vec<_>>()
    };

    let request = ModelRequest {
        model: ModelId::new("m")?,
        prompt: Prompt::default(),
        media: Vec::new(),
        options: ModelOptions::default(),
        stream: true,
        input_tokens: Tokens::ZERO,
    };
    let terms = GrantTerms {
        key: StepKey { turn: TurnId::new("bench")?, step: 1 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(1_024),
        input_bound: Tokens::ZERO,
        held: Money::ZERO,
        low: Vec::new(),
    };
    let permit = CallPermit::new(StepGrant::issue(terms), Arc::new(OpenGate));
    for (name, frames_a_read, are_alike) in [
        ("one read per chunk", 1, true),
        ("16 chunks a read", 16, true),
        ("one read", 300, true),
        ("one read, chunks that differ", 300, false),
    ] {
        let reads: Vec<Bytes> =
            frames(are_alike).chunks(frames_a_read).map(|frames| frames.concat().into()).collect();
        let id = ProviderId::new("bench")?;
        let config = OpenAiConfig::compatible(id, "http://offline.test/v1", ModelId::new("m")?);
        let transport = TimedTransport::new(Replay { reads });
        let provider = OpenAiProvider::new(config, Arc::new(transport))?;
        let prepared = provider.prepare(&request)?;
        let mut batches = 0;
        let begun = Instant::now();
        for _ in 0..REPLIES {
            batches = reply(&provider, &prepared, &permit).await?;
        }
        let mean_us = begun.elapsed().as_micros() / u128::from(REPLIES);
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
