//! Messages as one text: what a summariser is given.

use chat_types::{ContentPart, Message, Role, block_quote};

/// Each speaker on a line of their own with a colon, then what they said, then a blank line.
///
/// ```
/// let text = chat_summarizer::transcript([("User", "Hi"), ("Assistant", "Hello!")]);
/// assert_eq!(text, "User:\nHi\n\nAssistant:\nHello!\n\n");
/// ```
pub fn transcript<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut transcript = String::new();
    for (name, text) in entries {
        for piece in [name, ":\n", text, "\n\n"] {
            transcript.push_str(piece);
        }
    }
    transcript
}

/// The transcript of `messages`, oldest first, speakers named by their role.
///
/// Tool calls appear as `name(arguments)`, files by their label. Reasoning, images and sealed data
/// do not: they are no part of what was said. A message without any text is left out.
#[must_use]
pub fn message_transcript(messages: &[Message]) -> String {
    let texts: Vec<(&str, String)> = messages
        .iter()
        .map(|message| (speaker(message.role), spoken(&message.parts)))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    transcript(texts.iter().map(|(name, text)| (*name, text.as_str())))
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
    }
}

fn spoken(parts: &[ContentPart]) -> String {
    let lines: Vec<String> = parts
        .iter()
        .filter_map(|part| match part {
            ContentPart::Text { text } | ContentPart::ToolResult { text, .. } => Some(text.clone()),
            ContentPart::Quote { text } => Some(block_quote(text).trim_end().to_owned()),
            ContentPart::Summary { summary } => Some(summary.text.clone()),
            ContentPart::ToolCall { name, arguments, .. } => Some(format!("{name}({arguments})")),
            ContentPart::File { name, .. } => Some(format!("[file {name}]")),
            _ => None,
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}
