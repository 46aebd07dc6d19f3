//! Summaries by a model: what it is asked, what is made of its answers, what is not.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "test helpers fail loudly")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_provider::{MeteredCaller, MeteredError, MeteredReply, MeteredRequest};
use chat_summarizer::{
    ModelSummarizer, SUMMARY_PROMPT_VERSION, Summarizer as _, SummaryErrorKind, SummaryRequest,
    covered_hash, covers,
};
use chat_tokens::EstimateCounter;
use chat_types::{
    ContentPart, ConversationId, FinishReason, Message, MessageId, MessageStatus, Purpose, Role,
    Summary, Timestamp, Tokens, Usage, text_of,
};

type Answer = fn(usize, &str) -> Result<(String, FinishReason), MeteredError>;

/// Answers by a function of the call's number and text, and keeps what it was asked.
struct Model {
    answer: Answer,
    asked: Mutex<Vec<MeteredRequest>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

#[async_trait]
impl MeteredCaller for Model {
    async fn call(&self, request: MeteredRequest) -> Result<MeteredReply, MeteredError> {
        let said = text_of(&request.prompt.items.last().unwrap().parts);
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request);
            asked.len()
        };
        let (text, finish) = (self.answer)(number, &said)?;
        Ok(MeteredReply { text, finish, usage: Usage::default() })
    }
}

impl Model {
    fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    fn texts(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| text_of(&request.prompt.items.last().unwrap().parts)).collect()
    }
}

/// Copies the lines that begin with `FACT:`, as a model that forgets nothing that matters would.
fn facts(_: usize, said: &str) -> Result<(String, FinishReason), MeteredError> {
    let facts: Vec<&str> = said.lines().filter(|line| line.starts_with("FACT:")).collect();
    Ok((facts.join("\n"), FinishReason::Stop))
}

fn said(id: usize, text: &str) -> Message {
    Message {
        id: MessageId::new(format!("m{id}")).expect("valid"),
        conversation: ConversationId::new("talk").expect("valid"),
        parent: None,
        role: if id.is_multiple_of(2) { Role::Assistant } else { Role::User },
        parts: vec![ContentPart::text(text)],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

fn talk(messages: usize) -> Vec<Message> {
    (1..=messages).map(|id| said(id, &format!("FACT: number {id}\nand some words"))).collect()
}

fn request(messages: Vec<Message>) -> SummaryRequest {
    SummaryRequest { previous: None, messages, tokens_max: Tokens::new(200) }
}

async fn summarize(
    model: &Arc<Model>,
    window: u64,
    request: SummaryRequest,
) -> Result<Summary, SummaryErrorKind> {
    let counter = Arc::new(EstimateCounter::new());
    let caller = Arc::clone(model) as Arc<dyn MeteredCaller>;
    let summarizer = ModelSummarizer::new(caller, counter, Tokens::new(window));
    summarizer.summarize(request).await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_model_is_asked_with_the_conversation_as_data_and_a_purpose_of_its_own() {
    let model = Model::new(facts);
    let summary = summarize(&model, 4_000, request(talk(3))).await.expect("made");
    assert_eq!(summary.text, "FACT: number 1\nFACT: number 2\nFACT: number 3");
    assert_eq!(summary.covers_to, MessageId::new("m3").unwrap());
    assert_eq!(summary.prompt_version, Some(SUMMARY_PROMPT_VERSION));
    assert!(covers(&summary, &talk(3)));
    let asked = model.asked.lock().unwrap();
    let [call] = asked.as_slice() else { panic!("one call, not {}", asked.len()) };
    assert_eq!(call.purpose, Purpose::Summary);
    assert_eq!(call.options.output_tokens_max, Some(Tokens::new(200)));
    assert_eq!(call.prompt.items.len(), 2, "the task and the talk stand apart");
}

#[tokio::test]
async fn an_incremental_summary_goes_on_from_the_notes_before_it() {
    let model = Model::new(facts);
    let all = talk(6);
    let first = summarize(&model, 4_000, request(all[..3].to_vec())).await.expect("made");
    let next = SummaryRequest { previous: Some(first), ..request(all[3..].to_vec()) };
    let second = summarize(&model, 4_000, next).await.expect("made");
    assert!(second.text.starts_with("FACT: number 1\n"), "{}", second.text);
    assert!(second.text.ends_with("FACT: number 6"), "{}", second.text);
    assert_eq!(second.covered, covered_hash(&all), "as if all had been read at once");
    assert!(!model.texts()[1].contains("some words\n\nUser:\nFACT: number 1"));
}

#[tokio::test]
async fn what_does_not_fit_one_call_is_folded_and_no_call_is_above_its_window() {
    let model = Model::new(facts);
    let all = talk(40);
    let summary = summarize(&model, 900, request(all.clone())).await.expect("made");
    let calls = model.texts().len();
    assert!((2..=8).contains(&calls), "{calls} calls");
    assert_eq!(summary.covers_to, MessageId::new("m40").unwrap());
    assert_eq!(summary.text.lines().count(), 40, "nothing is lost between the calls");
    let counter = EstimateCounter::new();
    for call in model.asked.lock().unwrap().iter() {
        let tokens: Tokens = call
            .prompt
            .items
            .iter()
            .map(|item| chat_tokens::TokenCounter::count_message(&counter, item.role, &item.parts))
            .sum();
        assert!(tokens <= Tokens::new(900), "{tokens}");
    }
}

#[tokio::test]
async fn what_was_reached_before_a_call_failed_is_kept() {
    let model = Model::new(|number, said| match number {
        1 => facts(number, said),
        _ => Err(MeteredError::new("provider_unavailable", "away")),
    });
    let all = talk(40);
    let summary = summarize(&model, 900, request(all.clone())).await.expect("made");
    assert_ne!(summary.covers_to, MessageId::new("m40").unwrap());
    assert!(covers(&summary, &all), "it covers what it names, and holds");
}

#[tokio::test]
async fn a_message_longer_than_a_call_loses_its_middle() {
    let model = Model::new(facts);
    let long = format!("FACT: head\n{}\nFACT: tail", "x ".repeat(20_000));
    let summary = summarize(&model, 900, request(vec![said(1, &long)])).await.expect("made");
    assert_eq!(summary.text, "FACT: head\nFACT: tail");
}

#[tokio::test]
async fn a_failed_blank_or_filtered_answer_is_no_summary() {
    let failing: &[(Answer, SummaryErrorKind)] = &[
        (|_, _| Ok((" \n".into(), FinishReason::Stop)), SummaryErrorKind::Blank),
        (|_, _| Ok(("half".into(), FinishReason::ContentFilter)), SummaryErrorKind::Refused),
        (|_, _| Err(MeteredError::new("insufficient_funds", "no")), SummaryErrorKind::Refused),
        (|_, _| Err(MeteredError::new("provider_timeout", "no")), SummaryErrorKind::Unavailable),
    ];
    for (answer, kind) in failing {
        let model = Model::new(*answer);
        assert_eq!(summarize(&model, 4_000, request(talk(3))).await, Err(*kind));
    }
}

#[tokio::test]
async fn notes_that_ran_into_the_cap_end_with_a_whole_sentence() {
    let model = Model::new(|_, _| Ok(("One is true. Two is tr".into(), FinishReason::Length)));
    let summary = summarize(&model, 4_000, request(talk(3))).await.expect("made");
    assert_eq!(summary.text, "One is true.");
}

#[tokio::test]
async fn a_window_without_room_for_a_message_is_refused_before_any_call() {
    let model = Model::new(facts);
    let refused = summarize(&model, 50, request(talk(3))).await;
    assert_eq!(refused, Err(SummaryErrorKind::NoRoom));
    assert!(model.texts().is_empty());
}
