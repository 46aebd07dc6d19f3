//! Messages as one text.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use chat_summarizer::{message_transcript, transcript};
use chat_types::{ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp};

fn message(id: &str, role: Role, parts: Vec<ContentPart>) -> Message {
    Message {
        id: MessageId::new(id).expect("valid"),
        conversation: ConversationId::new("c").expect("valid"),
        parent: None,
        role,
        parts,
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

#[test]
fn a_transcript_holds_what_was_said_and_done() {
    let call =
        ContentPart::ToolCall { call_id: "x".into(), name: "tool".into(), arguments: "{}".into() };
    let result = ContentPart::ToolResult {
        call_id: "x".into(),
        text: "result of x".into(),
        is_error: false,
    };
    let thought = ContentPart::Reasoning { text: "hidden".into(), opaque: None };
    let messages = [
        message("u1", Role::User, vec![ContentPart::text("hello")]),
        message("a1", Role::Assistant, vec![thought, ContentPart::text("let me see"), call]),
        message("t1", Role::Tool, vec![result]),
        message("empty", Role::Assistant, vec![]),
    ];
    assert_eq!(
        message_transcript(&messages),
        "User:\nhello\n\nAssistant:\nlet me see\ntool({})\n\nTool:\nresult of x\n\n"
    );
}

#[test]
fn w13_a_transcript_names_each_speaker_on_a_line() {
    assert_eq!(
        transcript([("User", "Hello"), ("Assistant", "Hi.\nHow are you?")]),
        "User:\nHello\n\nAssistant:\nHi.\nHow are you?\n\n"
    );
    assert_eq!(transcript([]), "");
}
