//! The embedded model as a provider: what every caller of the port relies on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]
#![expect(clippy::disallowed_methods, reason = "permits are made by hand here")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_provider::{
    AttemptGate, CallPermit, CompletionStream, Exposure, GateRefused, ModelProvider, ModelRequest,
    OpenGate, ProviderErrorKind, ProviderEvent,
};
use chat_provider_local::{LOCAL_MODEL, LocalEngine, LocalErrorKind, LocalProvider};
use chat_types::{
    ContentPart, FileId, FinishReason, GrantTerms, ModelId, ModelOptions, Money, Prompt,
    PromptItem, Purpose, Role, Section, StepGrant, StepKey, Tokens, ToolSpec, TurnId, Usage,
};
use futures::StreamExt;

fn provider() -> LocalProvider {
    LocalProvider::open(None, |_, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn item(section: Section, role: Role, text: &str) -> PromptItem {
    PromptItem {
        section,
        role,
        parts: vec![ContentPart::text(text)],
        source: None,
        cache_mark: false,
    }
}

fn request(items: Vec<PromptItem>) -> ModelRequest {
    ModelRequest {
        model: ModelId::new(LOCAL_MODEL).unwrap(),
        prompt: Prompt { items, tools: Vec::new() },
        media: Vec::new(),
        options: ModelOptions::default(),
        stream: true,
        input_tokens: Tokens::new(20),
    }
}

fn ask(text: &str) -> ModelRequest {
    request(vec![item(Section::User, Role::User, text)])
}

fn permit_with(output_cap: u64, turn: &str, gate: Arc<dyn AttemptGate>) -> CallPermit {
    let terms = GrantTerms {
        key: StepKey { turn: TurnId::new(turn).unwrap(), step: 1 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(output_cap),
        input_bound: Tokens::new(100),
        held: Money::ZERO,
        low: Vec::new(),
    };
    CallPermit::new(StepGrant::issue(terms), gate)
}

fn permit(output_cap: u64) -> CallPermit {
    permit_with(output_cap, "turn-1", Arc::new(OpenGate))
}

/// All reads of a reply.
async fn reads(stream: CompletionStream) -> Vec<Vec<ProviderEvent>> {
    stream.map(Result::unwrap).collect().await
}

async fn send(
    provider: &LocalProvider,
    request: &ModelRequest,
    cap: u64,
) -> Vec<Vec<ProviderEvent>> {
    let prepared = provider.prepare(request).unwrap();
    reads(provider.send_completion(&prepared, &permit(cap)).await.unwrap()).await
}

fn text_of(reads: &[Vec<ProviderEvent>]) -> String {
    let text = |event: &ProviderEvent| match event {
        ProviderEvent::Text(text) => text.clone(),
        _ => String::new(),
    };
    reads.iter().flatten().map(text).collect()
}

fn end_of(reads: &[Vec<ProviderEvent>]) -> (FinishReason, Usage) {
    match reads.last().unwrap().as_slice() {
        [.., ProviderEvent::Finished(reason), ProviderEvent::Usage(usage)] => (*reason, *usage),
        other => panic!("not an end: {other:?}"),
    }
}

/// A vocabulary that cannot be read leaves a guess, which random letters exceed twice over.
#[test]
fn without_its_vocabulary_a_prompt_is_bound_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("damaged.gguf");
    std::fs::write(&weights, "GGUF").unwrap();
    let provider = LocalProvider::new(LocalEngine::open(&weights).unwrap()).unwrap();
    let dense = "qZxJvKwQ".repeat(500);
    let counter = provider.counter(&provider.models()[0]);
    let dense_request = ModelRequest { input_tokens: counter.count_text(&dense), ..ask(&dense) };
    let prepared = provider.prepare(&dense_request).unwrap();
    assert!(prepared.input_bound >= Tokens::from_len(dense.len()), "{}", prepared.input_bound);
    assert_eq!(prepared.input_estimate, dense_request.input_tokens);
    let none = provider.prepare(&request(Vec::new())).unwrap();
    assert!(none.input_bound >= Tokens::new(50), "the default instructions are sent too");
}

#[tokio::test]
async fn reply_streams_and_its_usage_is_exact() {
    let provider = provider();
    provider.warm_up().await.unwrap();
    let request = request(vec![
        item(Section::Instructions, Role::System, "You are a helpful assistant."),
        item(Section::User, Role::User, "What is the capital of France? Answer in one sentence."),
    ]);
    let prepared = provider.prepare(&request).unwrap();
    let reads = send(&provider, &request, 100).await;
    assert_eq!(reads[0][0], ProviderEvent::Started { request_id: None });
    let deltas = reads.iter().flatten().filter(|event| matches!(event, ProviderEvent::Text(_)));
    assert!(deltas.count() >= 5);
    let (finish_reason, usage) = end_of(&reads);
    assert_eq!(finish_reason, FinishReason::Stop);

    let counter = provider.counter(&provider.models()[0]);
    let messages = request.prompt.items.iter();
    let counted: Tokens = messages.map(|item| counter.count_message(item.role, &item.parts)).sum();
    let counted = counted.plus(counter.priming());
    assert_eq!(usage.input_total(), counted);
    assert_eq!((prepared.input_bound, prepared.input_estimate), (counted, counted));
    // The end mark is counted and not shown.
    let shown = counter.count_text(&text_of(&reads));
    assert_eq!(usage.output_total(), shown.plus(Tokens::new(1)));
}

#[tokio::test]
async fn cap_of_the_permit_is_kept() {
    let reads = send(&provider(), &ask("Count from one to one hundred."), 7).await;
    let (finish_reason, usage) = end_of(&reads);
    assert_eq!((finish_reason, usage.output), (FinishReason::Length, Tokens::new(7)));
}

#[tokio::test]
async fn unstreamed_reply_is_the_same_in_one_read() {
    let provider = provider();
    let streamed = send(&provider, &ask("Name a colour."), 12).await;
    let whole = ModelRequest { stream: false, ..ask("Name a colour.") };
    let whole = send(&provider, &whole, 12).await;
    assert_eq!(whole.len(), 1);
    assert_eq!(text_of(&whole), text_of(&streamed));
    assert_eq!(end_of(&whole), end_of(&streamed));
}

#[tokio::test]
async fn stop_text_ends_the_reply_before_it() {
    let provider = provider();
    let full = text_of(&send(&provider, &ask("Name a colour."), 24).await);
    let middle = full.chars().count() / 2;
    let stop: String = full.chars().skip(middle).take(4).collect();
    let mut request = ask("Name a colour.");
    request.options.stop = vec![stop.clone()];
    let reads = send(&provider, &request, 24).await;
    let shown = text_of(&reads);
    assert_eq!(full.split_once(&stop).map(|(start, _)| start), Some(shown.as_str()));
    assert_eq!(end_of(&reads).0, FinishReason::Stop);
}

#[tokio::test]
async fn trailing_assistant_message_is_left_open_to_go_on_from() {
    let provider = provider();
    let request = request(vec![
        item(Section::Instructions, Role::System, "You are a helpful assistant."),
        item(Section::History, Role::User, "Count from one to ten in words."),
        item(Section::History, Role::Assistant, "One, two, three, four,"),
    ]);
    let reads = send(&provider, &request, 4).await;
    let counter = provider.counter(&provider.models()[0]);
    let messages = request.prompt.items.iter();
    let closed: Tokens = messages.map(|item| counter.count_message(item.role, &item.parts)).sum();
    // No end mark, no line break and no second opening of an answer.
    assert_eq!(end_of(&reads).1.input_total().plus(Tokens::new(2)), closed);
    assert!(!text_of(&reads).is_empty());
}

#[tokio::test]
async fn temperature_draws_differently_per_step_unless_a_seed_is_given() {
    let provider = provider();
    let mut request = ask("Invent a name for a village.");
    request.options.temperature = Some(1.5);
    let mut texts = Vec::new();
    for (turn, seed) in [("a", None), ("a", None), ("b", None), ("a", Some(5)), ("b", Some(5))] {
        request.options.seed = seed;
        let prepared = provider.prepare(&request).unwrap();
        let permit = permit_with(16, turn, Arc::new(OpenGate));
        texts.push(text_of(
            &reads(provider.send_completion(&prepared, &permit).await.unwrap()).await,
        ));
    }
    assert_eq!(texts[0], texts[1]);
    assert_ne!(texts[0], texts[2]);
    assert_eq!(texts[3], texts[4]);
}

#[tokio::test]
async fn dropping_the_stream_stops_the_work() {
    let provider = provider();
    let prepared = provider.prepare(&ask("Write a very long story about a journey.")).unwrap();
    let stream = provider.send_completion(&prepared, &permit(2_000)).await.unwrap();
    drop(stream);
    let request = ask("hi");
    let next = send(&provider, &request, 2);
    let reads = tokio::time::timeout(Duration::from_secs(20), next).await.unwrap();
    assert_eq!(end_of(&reads).1.output, Tokens::new(2));
}

#[derive(Debug, Default)]
struct ClosedGate {
    asked: AtomicU32,
}

#[async_trait]
impl AttemptGate for ClosedGate {
    async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused> {
        assert_eq!((attempt, previous), (1, None));
        self.asked.fetch_add(1, Ordering::Relaxed);
        Err(GateRefused::new("closed"))
    }
}

#[tokio::test]
async fn refused_attempt_computes_nothing_and_frees_the_engine() {
    let provider = provider();
    let prepared = provider.prepare(&ask("hi")).unwrap();
    let gate = Arc::new(ClosedGate::default());
    let permit = permit_with(2, "turn-1", Arc::clone(&gate) as Arc<dyn AttemptGate>);
    let error = provider.send_completion(&prepared, &permit).await.err().unwrap();
    assert_eq!(error.kind(), ProviderErrorKind::GateRefused);
    assert_eq!(gate.asked.load(Ordering::Relaxed), 1);
    assert_eq!(end_of(&send(&provider, &ask("hi"), 2).await).1.output, Tokens::new(2));
}

#[tokio::test]
async fn too_long_prompt_owes_nothing() {
    let provider = provider();
    let prepared = provider.prepare(&ask(&"word ".repeat(9_000))).unwrap();
    let error = provider.send_completion(&prepared, &permit(10)).await.err().unwrap();
    assert_eq!(
        (error.kind(), error.exposure(), error.is_transient()),
        (ProviderErrorKind::ContextTooLong, Exposure::None, false)
    );
}

#[test]
fn requests_the_model_cannot_serve_are_refused_and_the_same_bytes_come_twice() {
    let provider = provider();
    let kind_of = |request: &ModelRequest| provider.prepare(request).unwrap_err().kind();
    let mut other = ask("hi");
    other.model = ModelId::new("gpt-9").unwrap();
    assert_eq!(kind_of(&other), ProviderErrorKind::UnknownModel);
    let mut tools = ask("hi");
    tools.prompt.tools =
        vec![ToolSpec { name: "f".into(), description: String::new(), parameters: "{}".into() }];
    assert_eq!(kind_of(&tools), ProviderErrorKind::InvalidRequest);
    let mut hot = ask("hi");
    hot.options.temperature = Some(f64::NAN);
    assert_eq!(kind_of(&hot), ProviderErrorKind::InvalidRequest);
    let mut picture = ask("What is this?");
    let image = ContentPart::Image {
        file: FileId::new("f1").unwrap(),
        media_type: "image/png".into(),
        width_px: None,
        height_px: None,
    };
    picture.prompt.items[0].parts.push(image);
    assert_eq!(kind_of(&picture), ProviderErrorKind::InvalidRequest);
    picture.prompt.items[0].section = Section::History;
    assert_eq!(provider.prepare(&picture).unwrap(), provider.prepare(&picture).unwrap());
}

#[tokio::test]
async fn weights_that_vanish_are_not_ready_with_the_remedy() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    let missing = LocalProvider::open(Some(&path), |_, _| {}).unwrap_err();
    assert_eq!(missing.kind(), LocalErrorKind::WeightsMissing);
    std::fs::write(&path, b"GGUF").unwrap();
    let provider = LocalProvider::open(Some(&path), |_, _| {}).unwrap();
    let error = provider.warm_up().await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::NotReady);
    assert!(error.to_string().contains("cargo xtask weights"), "{error}");
    // Counting still works, and says that it is a guess.
    let counter = provider.counter(&provider.models()[0]);
    assert_eq!(counter.provenance(), chat_types::Provenance::Estimated);
}
