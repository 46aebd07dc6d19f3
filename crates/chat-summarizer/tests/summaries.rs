//! What summaries cover, and what is refused.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use chat_summarizer::{
    ExtractiveSummarizer, Summarizer as _, SummaryErrorKind, SummaryRequest, covered_hash,
    covered_hash_after, covered_prefix, covers,
};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Summary, Timestamp,
    Tokens,
};
use proptest::prelude::*;

fn said(id: &str, role: Role, text: &str) -> Message {
    Message {
        id: MessageId::new(id).expect("valid"),
        conversation: ConversationId::new("talk").expect("valid"),
        parent: None,
        role,
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

fn request(messages: Vec<Message>, tokens_max: u64) -> SummaryRequest {
    SummaryRequest { previous: None, messages, tokens_max: Tokens::new(tokens_max) }
}

fn talk() -> Vec<Message> {
    vec![
        said("1", Role::User, "one"),
        said("2", Role::Assistant, "two  two\ntwo"),
        said("3", Role::User, "three"),
    ]
}

async fn extract(request: SummaryRequest) -> Result<Summary, SummaryErrorKind> {
    let summary = ExtractiveSummarizer::default().summarize(request).await;
    summary.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_summary_names_the_newest_message_and_the_content_it_covers() {
    let summary = extract(request(talk(), 500)).await;
    let expected = Summary {
        text: "User: one\nAssistant: two two two\nUser: three".into(),
        covers_to: MessageId::new("3").expect("valid"),
        covered: covered_hash(&talk()),
        prompt_version: None,
    };
    assert_eq!(summary, Ok(expected));
}

#[tokio::test]
async fn the_bound_keeps_the_newest_lines() {
    let summary = extract(request(talk(), 12)).await.expect("made");
    assert_eq!(summary.text, "User: three");
}

#[tokio::test]
async fn a_long_message_keeps_its_head() {
    let long = said("1", Role::User, &"é".repeat(1_000_000));
    let summary = ExtractiveSummarizer::keeping(3).summarize(request(vec![long], 100)).await;
    assert_eq!(summary.expect("made").text, "User: ééé");
}

#[tokio::test]
async fn blank_and_empty_are_refused() {
    let blank = vec![said("1", Role::User, " \n")];
    assert_eq!(extract(request(blank, 500)).await, Err(SummaryErrorKind::Blank));
    assert_eq!(extract(request(talk(), 3)).await, Err(SummaryErrorKind::Blank));
    assert_eq!(extract(request(vec![], 500)).await, Err(SummaryErrorKind::NothingToCover));
}

#[tokio::test]
async fn a_summary_goes_on_from_the_one_before() {
    let mut messages = talk();
    let newest = messages.split_off(2);
    let previous = extract(request(messages, 500)).await.expect("made");
    let next = SummaryRequest { previous: Some(previous), ..request(newest, 500) };
    let chained = extract(next).await.expect("made");
    let at_once = extract(request(talk(), 500)).await.expect("made");
    assert_eq!(chained, at_once);
}

#[tokio::test]
async fn copies_and_siblings_reuse_and_changed_content_does_not() {
    let summary = extract(request(talk(), 500)).await.expect("made");
    let mut copy = talk();
    for (message, id) in copy.iter_mut().zip(["a", "b", "c"]) {
        message.id = MessageId::new(id).expect("valid");
        message.created_at = Timestamp::from_unix_ms(99);
    }
    copy.push(said("d", Role::Assistant, "four"));
    assert_eq!(covered_prefix(&summary, &copy), Some(3));
    assert!(covers(&summary, &copy));
    assert!(!covers(&summary, copy.iter().take(2)));
    copy[1].parts = vec![ContentPart::text("changed")];
    assert!(!covers(&summary, &copy));
    let blank = Summary { text: "  ".into(), ..summary };
    assert!(!covers(&blank, &talk()), "a blank summary is no checkpoint");
}

#[test]
fn a_summary_part_does_not_change_what_is_covered() {
    let mut carrier = talk();
    let summary = Summary {
        text: "s".into(),
        covers_to: MessageId::new("1").expect("valid"),
        covered: covered_hash(&talk()),
        prompt_version: None,
    };
    carrier[1].parts.insert(0, ContentPart::Summary { summary });
    assert_eq!(covered_hash(&carrier), covered_hash(&talk()));
}

proptest! {
    #[test]
    fn cutting_a_path_anywhere_gives_the_same_hash(
        texts in proptest::collection::vec("[a-c]{0,3}", 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let messages: Vec<Message> = texts.iter().map(|t| said("m", Role::User, t)).collect();
        let (older, newer) = messages.split_at(cut.index(messages.len()));
        let previous = Summary {
            text: "s".into(),
            covers_to: MessageId::new("m").expect("valid"),
            covered: covered_hash(older),
            prompt_version: None,
        };
        prop_assert_eq!(covered_hash_after(Some(&previous), newer), covered_hash(&messages));
    }

    #[test]
    fn other_texts_give_another_hash(
        one in proptest::collection::vec("[ab]{0,2}", 0..4),
        other in proptest::collection::vec("[ab]{0,2}", 0..4),
    ) {
        let hash = |texts: &[String]| {
            let messages: Vec<Message> = texts.iter().map(|t| said("m", Role::User, t)).collect();
            covered_hash(&messages)
        };
        prop_assert_eq!(hash(&one) == hash(&other), one == other);
    }
}
