//! Short forms for building trees.

use chat_types::{
    ContentHash, ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Summary,
    Timestamp,
};

pub(crate) fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("valid id")
}

/// A message `name` below `parent`; odd levels and even levels speak in turn by the caller's will.
pub(crate) fn message(name: &str, parent: Option<&str>, role: Role, created_at_ms: i64) -> Message {
    Message {
        id: id(name),
        conversation: ConversationId::new("talk").expect("valid id"),
        parent: parent.map(id),
        role,
        parts: vec![ContentPart::text(format!("text of {name}"))],
        created_at: Timestamp::from_unix_ms(created_at_ms),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

pub(crate) fn summary_up_to(text: &str, covers_to: &str) -> Summary {
    Summary {
        text: text.into(),
        covers_to: id(covers_to),
        covered: ContentHash::of(["covered"]),
        prompt_version: None,
    }
}

pub(crate) fn summary(text: &str, covers_to: &str) -> ContentPart {
    ContentPart::Summary { summary: summary_up_to(text, covers_to) }
}

pub(crate) fn names<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Vec<&'m str> {
    messages.into_iter().map(|message| message.id.as_str()).collect()
}

/// `(name, parent)` pairs, created in this order, all by the user.
pub(crate) fn tree(edges: &[(&str, Option<&str>)]) -> Vec<Message> {
    (0..)
        .zip(edges)
        .map(|(at, (name, parent))| message(name, *parent, Role::User, at * 10))
        .collect()
}
