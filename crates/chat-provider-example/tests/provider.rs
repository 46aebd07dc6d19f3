//! What the example promises, through the port.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_provider::{
    AttemptGate, CallPermit, Exposure, GateRefused, ModelProvider, ModelRequest, OpenGate,
    ProviderErrorKind, ProviderEvent,
};
use chat_provider_example::{EXAMPLE_MODEL, ExampleProvider, WordCounter};
use chat_tokens::TokenCounter;
use chat_types::{
    ContentPart, FileId, FinishReason, GrantTerms, ModelId, ModelOptions, Money, Prompt,
    PromptItem, Purpose, Role, Section, StepGrant, StepKey, Tokens, ToolSpec, TurnId, Usage,
};
use futures::{FutureExt, TryStreamExt};

#[expect(clippy::disallowed_methods, reason = "a test has no recorder")]
fn permit(output_cap: u64, gate: Arc<dyn AttemptGate>) -> CallPermit {
    let terms = GrantTerms {
        key: StepKey { turn: TurnId::new("turn").unwrap(), step: 1 },
        purpose: Purpose::Reply,
        output_cap: Tokens::new(output_cap),
        input_bound: Tokens::new(100),
        held: Money::ZERO,
        low: Vec::new(),
    };
    CallPermit::new(StepGrant::issue(terms), gate)
}

fn item(role: Role, part: ContentPart) -> PromptItem {
    PromptItem {
        section: Section::History,
        role,
        parts: vec![part],
        source: None,
        cache_mark: false,
    }
}

fn request(items: Vec<PromptItem>, stream: bool) -> ModelRequest {
    ModelRequest {
        model: ModelId::new(EXAMPLE_MODEL).unwrap(),
        prompt: Prompt { items, tools: Vec::new() },
        media: Vec::new(),
        options: ModelOptions::default(),
        stream,
        input_tokens: Tokens::ZERO,
    }
}

fn asked(text: &str) -> Vec<PromptItem> {
    vec![
        item(Role::System, ContentPart::text("Be kind.")),
        item(Role::User, ContentPart::text(text)),
    ]
}

async fn reads(request: &ModelRequest, output_cap: u64) -> Vec<Vec<ProviderEvent>> {
    let provider = ExampleProvider::new().unwrap();
    let prepared = provider.prepare(request).unwrap();
    let permit = permit(output_cap, Arc::new(OpenGate));
    let stream = provider.send_completion(&prepared, &permit).await.unwrap();
    stream.try_collect().await.unwrap()
}

fn text(word: &str) -> Vec<ProviderEvent> {
    vec![ProviderEvent::Text(word.to_owned())]
}

fn started() -> ProviderEvent {
    ProviderEvent::Started { request_id: None }
}

fn usage(input: u64, output: u64) -> ProviderEvent {
    ProviderEvent::Usage(Usage {
        input_uncached: Tokens::new(input),
        output: Tokens::new(output),
        ..Usage::default()
    })
}

#[tokio::test]
async fn a_reply_repeats_the_user_one_word_at_a_time() {
    let expected = vec![
        vec![started()],
        text("You "),
        text("said: "),
        text("hello  "),
        text("world"),
        vec![ProviderEvent::Finished(FinishReason::Stop), usage(4, 4)],
    ];
    assert_eq!(reads(&request(asked("hello  world"), true), 64).await, expected);
}

#[tokio::test]
async fn the_cap_of_the_permit_cuts_the_reply() {
    let expected = vec![
        vec![started()],
        text("You "),
        text("said: "),
        text("one "),
        vec![ProviderEvent::Finished(FinishReason::Length), usage(5, 3)],
    ];
    assert_eq!(reads(&request(asked("one two three"), true), 3).await, expected);
}

#[tokio::test]
async fn an_unstreamed_reply_tells_the_same_in_one_read() {
    let expected = vec![vec![
        started(),
        ProviderEvent::Text("You said: hi".to_owned()),
        ProviderEvent::Finished(FinishReason::Stop),
        usage(3, 3),
    ]];
    assert_eq!(reads(&request(asked("hi"), false), 64).await, expected);
}

#[tokio::test]
async fn a_trailing_assistant_message_is_gone_on_from() {
    let mut items = asked("hi there");
    items.push(item(Role::Assistant, ContentPart::text("You said: ")));
    let expected = vec![
        vec![started()],
        text("hi "),
        text("there"),
        vec![ProviderEvent::Finished(FinishReason::Stop), usage(6, 2)],
    ];
    assert_eq!(reads(&request(items, true), 64).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_delay_paces_the_words() {
    let provider = ExampleProvider::new().unwrap().with_delay_ms(50);
    let prepared = provider.prepare(&request(asked("hi"), true)).unwrap();
    let permit = permit(64, Arc::new(OpenGate));
    let started = tokio::time::Instant::now();
    let stream = provider.send_completion(&prepared, &permit).await.unwrap();
    let _: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(150));
}

#[test]
fn preparing_twice_gives_the_same_bytes_and_exact_bounds() {
    let provider = ExampleProvider::new().unwrap();
    let prepared = provider.prepare(&request(asked("hello world"), true)).unwrap();
    assert_eq!(prepared, provider.prepare(&request(asked("hello world"), true)).unwrap());
    assert_eq!(
        String::from_utf8(prepared.body).unwrap(),
        r#"{"model":"echo-1","lines":[{"role":"system","text":"Be kind."},{"role":"user","text":"hello world"}],"stream":true}"#
    );
    assert_eq!((prepared.input_bound, prepared.input_estimate), (Tokens::new(4), Tokens::new(4)));
}

#[test]
fn what_the_dialect_cannot_say_is_refused() {
    let provider = ExampleProvider::new().unwrap();
    let check = |request: &ModelRequest, kind| {
        assert_eq!(provider.prepare(request).unwrap_err().kind(), kind);
    };
    let image = ContentPart::Image {
        file: FileId::new("f").unwrap(),
        media_type: "image/png".to_owned(),
        width_px: None,
        height_px: None,
    };
    check(&request(vec![item(Role::User, image)], true), ProviderErrorKind::InvalidRequest);
    let mut with_tool = request(asked("hi"), true);
    with_tool.prompt.tools.push(ToolSpec {
        name: "clock".to_owned(),
        description: String::new(),
        parameters: "{}".to_owned(),
    });
    check(&with_tool, ProviderErrorKind::InvalidRequest);
    let mut other_model = request(asked("hi"), true);
    other_model.model = ModelId::new("echo-2").unwrap();
    check(&other_model, ProviderErrorKind::UnknownModel);
}

#[derive(Debug, Default)]
struct ClosedGate {
    asked: Mutex<Vec<(u32, Option<Exposure>)>>,
}

#[async_trait]
impl AttemptGate for ClosedGate {
    async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused> {
        self.asked.lock().unwrap().push((attempt, previous));
        Err(GateRefused::new("the turn was stopped"))
    }
}

#[tokio::test]
async fn a_refusing_gate_ends_the_call_before_it_begins() {
    let provider = ExampleProvider::new().unwrap();
    let prepared = provider.prepare(&request(asked("hi"), true)).unwrap();
    let gate = Arc::new(ClosedGate::default());
    let permit = permit(64, Arc::clone(&gate) as Arc<dyn AttemptGate>);
    let refused = provider.send_completion(&prepared, &permit).await.err().unwrap();
    assert_eq!(
        (refused.kind(), refused.exposure()),
        (ProviderErrorKind::GateRefused, Exposure::None)
    );
    assert_eq!(*gate.asked.lock().unwrap(), [(1, None)]);
}

#[test]
fn reported_input_is_what_the_counter_counted() {
    let items = asked(" several   words\nhere ");
    let counter = WordCounter::new();
    let counted: Tokens =
        items.iter().map(|item| counter.count_message(item.role, &item.parts)).sum();
    let request = request(items, true);
    let last = reads(&request, 64).now_or_never().unwrap().pop().unwrap();
    assert_eq!(last.last(), Some(&usage(counted.get(), 5)));
}
