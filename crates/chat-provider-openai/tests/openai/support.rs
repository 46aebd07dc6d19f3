//! Providers over a script, permits with a watching gate, prompts.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_provider::{
    AttemptGate, CallPermit, Exposure, GateRefused, ModelProvider, ModelRequest, ProviderError,
    ProviderEvent,
};
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_transport::{ScriptedReply, ScriptedTransport};
use chat_types::{
    ContentPart, FinishReason, GrantTerms, ModelId, ModelOptions, Money, Prompt, PromptItem,
    ProviderId, Purpose, Role, Section, StepGrant, StepKey, Tokens, TurnId, Usage,
};
use futures::StreamExt;
use http::StatusCode;
use secrecy::SecretString;

pub(crate) const KEY: &str = "sk-very-secret-0123456789";

pub(crate) fn id(id: &str) -> ProviderId {
    ProviderId::new(id).unwrap()
}

pub(crate) fn model(name: &str) -> ModelId {
    ModelId::new(name).unwrap()
}

pub(crate) fn openai_config() -> OpenAiConfig {
    OpenAiConfig {
        jitter_seed: Some(1),
        ..OpenAiConfig::openai_default(Some(SecretString::from(KEY))).unwrap()
    }
}

pub(crate) fn local_config() -> OpenAiConfig {
    OpenAiConfig {
        jitter_seed: Some(1),
        ..OpenAiConfig::compatible(id("local"), "http://127.0.0.1:8080/v1/", model("smollm2"))
    }
}

/// A gate that remembers, and refuses from attempt `refuse_from` on.
#[derive(Debug, Default)]
pub(crate) struct WatchingGate {
    pub(crate) seen: Mutex<Vec<(u32, Option<Exposure>)>>,
    pub(crate) refuse_from: Option<u32>,
}

#[async_trait]
impl AttemptGate for WatchingGate {
    async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused> {
        self.seen.lock().unwrap().push((attempt, previous));
        match self.refuse_from {
            Some(from) if attempt >= from => Err(GateRefused::new("the hold cannot be extended")),
            _ => Ok(()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no recorder")]
pub(crate) fn permit(output_cap: u64, gate: Arc<dyn AttemptGate>) -> CallPermit {
    let terms = GrantTerms {
        key: StepKey { turn: TurnId::new("turn-1").unwrap(), step: 2 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(output_cap),
        input_bound: Tokens::new(100),
        held: Money::ZERO,
        low: Vec::new(),
    };
    CallPermit::new(StepGrant::issue(terms), gate)
}

pub(crate) fn item(section: Section, role: Role, parts: Vec<ContentPart>) -> PromptItem {
    PromptItem { section, role, parts, source: None, cache_mark: false }
}

pub(crate) fn request(name: &str, items: Vec<PromptItem>) -> ModelRequest {
    ModelRequest {
        model: model(name),
        prompt: Prompt { items, tools: Vec::new() },
        media: Vec::new(),
        options: ModelOptions::default(),
        stream: true,
        input_tokens: Tokens::new(9),
    }
}

pub(crate) fn hi(name: &str) -> ModelRequest {
    let parts = vec![ContentPart::text("hi")];
    request(name, vec![item(Section::User, Role::User, parts)])
}

/// What one call gave: the batches, and the error that ended it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) batches: Vec<Vec<ProviderEvent>>,
    pub(crate) error: Option<ProviderError>,
    pub(crate) gate: Vec<(u32, Option<Exposure>)>,
    pub(crate) transport: ScriptedTransport,
    /// `send_completion` itself refused.
    pub(crate) was_refused: bool,
}

impl Outcome {
    pub(crate) fn events(&self) -> Vec<ProviderEvent> {
        let mut merged: Vec<ProviderEvent> = Vec::new();
        for event in self.batches.iter().flatten() {
            match (merged.last_mut(), event) {
                (Some(ProviderEvent::Text(open)), ProviderEvent::Text(more))
                | (Some(ProviderEvent::Reasoning(open)), ProviderEvent::Reasoning(more)) => {
                    open.push_str(more);
                }
                (
                    Some(ProviderEvent::ToolArguments { index, arguments }),
                    ProviderEvent::ToolArguments { index: same, arguments: more },
                ) if index == same => arguments.push_str(more),
                _ => merged.push(event.clone()),
            }
        }
        merged
    }

    pub(crate) fn text(&self) -> String {
        let texts = self.batches.iter().flatten().filter_map(|event| match event {
            ProviderEvent::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub(crate) fn finished(&self) -> Option<FinishReason> {
        self.batches.iter().flatten().find_map(|event| match event {
            ProviderEvent::Finished(reason) => Some(*reason),
            _ => None,
        })
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let mut usages = self.batches.iter().flatten().filter_map(|event| match event {
            ProviderEvent::Usage(usage) => Some(*usage),
            _ => None,
        });
        usages.next_back()
    }
}

pub(crate) async fn call_with(
    config: OpenAiConfig,
    request: &ModelRequest,
    gate: WatchingGate,
    replies: Vec<ScriptedReply>,
) -> Outcome {
    let transport = ScriptedTransport::new(replies);
    let provider = OpenAiProvider::new(config, Arc::new(transport.clone())).unwrap();
    let gate = Arc::new(gate);
    let permit = permit(64, Arc::clone(&gate) as Arc<dyn AttemptGate>);
    let prepared = provider.prepare(request).unwrap();
    let (mut batches, mut error, mut was_refused) = (Vec::new(), None, false);
    match provider.send_completion(&prepared, &permit).await {
        Ok(mut stream) => {
            while let Some(item) = stream.next().await {
                assert!(error.is_none(), "an error is the last item");
                match item {
                    Ok(batch) => batches.push(batch),
                    Err(failed) => error = Some(failed),
                }
            }
        }
        Err(refused) => {
            was_refused = true;
            error = Some(refused);
        }
    }
    let seen = gate.seen.lock().unwrap().clone();
    Outcome { batches, error, gate: seen, transport, was_refused }
}

pub(crate) async fn call(replies: Vec<ScriptedReply>) -> Outcome {
    call_with(local_config(), &hi("smollm2"), WatchingGate::default(), replies).await
}

pub(crate) fn sse(body: impl Into<Vec<u8>>) -> ScriptedReply {
    ScriptedReply::event_stream().read(body.into())
}

pub(crate) fn status(code: u16, body: &str) -> ScriptedReply {
    ScriptedReply::json(StatusCode::from_u16(code).unwrap(), body.to_owned())
}

/// A chunk of the stream with this delta.
pub(crate) fn chunk(delta: &str) -> String {
    format!("data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
}

pub(crate) fn finish(reason: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    )
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) fn started() -> ProviderEvent {
    ProviderEvent::Started { request_id: Some("c1".to_owned()) }
}

pub(crate) fn text(text: &str) -> ProviderEvent {
    ProviderEvent::Text(text.to_owned())
}

pub(crate) fn usage(uncached: u64, cache_read: u64, output: u64, reasoning: u64) -> Usage {
    Usage {
        input_uncached: Tokens::new(uncached),
        cache_read: Tokens::new(cache_read),
        cache_write: Tokens::ZERO,
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
    }
}
