//! Messages, a counter that is easy to follow, and short ways to read a plan.

use chat_truncation::{Fate, Plan, PlanRequest, TruncationPolicy};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp, Tokens,
};

pub(crate) fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("valid")
}

pub(crate) fn message(name: &str, role: Role, parts: Vec<ContentPart>) -> Message {
    Message {
        id: id(name),
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

/// A message whose text counts `tokens`.
pub(crate) fn says(name: &str, role: Role, tokens: usize) -> Message {
    message(name, role, vec![ContentPart::text("x".repeat(tokens))])
}

pub(crate) fn user(name: &str, tokens: usize) -> Message {
    says(name, Role::User, tokens)
}

pub(crate) fn assistant(name: &str, tokens: usize) -> Message {
    says(name, Role::Assistant, tokens)
}

pub(crate) fn call(call_id: &str) -> ContentPart {
    ContentPart::ToolCall { call_id: call_id.into(), name: "t".into(), arguments: "{}".into() }
}

pub(crate) fn result(call_id: &str, text: &str) -> ContentPart {
    ContentPart::ToolResult { call_id: call_id.into(), text: text.into(), is_error: false }
}

/// A call of 3 tokens.
pub(crate) fn calls(name: &str, call_id: &str) -> Message {
    message(name, Role::Assistant, vec![call(call_id)])
}

pub(crate) fn answers(name: &str, call_id: &str, tokens: usize) -> Message {
    message(name, Role::Tool, vec![result(call_id, &"r".repeat(tokens))])
}

/// A token per character, and nothing for the frame.
pub(crate) fn count(_role: Role, parts: &[ContentPart]) -> Tokens {
    let chars = parts.iter().map(|part| match part {
        ContentPart::Text { text }
        | ContentPart::ToolResult { text, .. }
        | ContentPart::Reasoning { text, .. } => text.chars().count(),
        ContentPart::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
        ContentPart::Image { .. } => 100,
        _ => 0,
    });
    Tokens::from_len(chars.sum())
}

pub(crate) fn policy(toml: &str) -> TruncationPolicy {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

pub(crate) fn plan(toml: &str, budget: u64, messages: &[Message]) -> Plan {
    policy(toml).plan(PlanRequest::new(Tokens::new(budget)), messages, &count)
}

/// The ids of what is sent; a shortened one has a `~`.
pub(crate) fn sent(plan: &Plan) -> Vec<String> {
    plan.messages
        .iter()
        .filter_map(|planned| match planned.fate {
            Fate::Keep => Some(planned.message.to_string()),
            Fate::Trim { .. } => Some(format!("{}~", planned.message)),
            _ => None,
        })
        .collect()
}

/// Checks what a plan says about itself against what it really sends.
pub(crate) fn check_sizes(plan: &Plan, messages: &[Message], budget: Tokens, priming: Tokens) {
    let sent = plan.clone().into_messages(messages.to_vec());
    let real: Tokens = sent.iter().map(|message| count(message.role, &message.parts)).sum();
    if !sent.is_empty() {
        assert_eq!(plan.tokens, real.plus(priming), "{plan:?}");
        assert!(plan.tokens <= budget, "{plan:?}");
    }
    assert_eq!(plan.remaining, budget.minus(plan.tokens));
}
