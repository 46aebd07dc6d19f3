//! The model's chat template (ChatML), as parts that cannot be confused.
//!
//! Promises: every message becomes `<|im_start|>role\ntext<|im_end|>\n` and the prompt ends with an
//! opened assistant message: a new one, or the last line when that is the assistant's, so that the
//! model goes on from it. A conversation without a system message first gets
//! [`DEFAULT_SYSTEM_PROMPT`]; no BOS is added. Marks and text stay separate parts, so a text that
//! contains `<|im_end|>` is text and cannot end its message.

use serde::{Deserialize, Serialize};

/// Used when a conversation does not start with a system message.
///
/// The template inside the weights has another default under which short questions are answered
/// with word salad.
pub const DEFAULT_SYSTEM_PROMPT: &str = "You are a helpful assistant.";

/// The mark that starts a message.
pub(crate) const START_MARK: &str = "<|im_start|>";
/// The mark that ends a message; the model emits it to stop.
pub(crate) const END_MARK: &str = "<|im_end|>";
/// The mark between documents in the training text; a model that emits it has nothing left to say.
pub(crate) const END_OF_TEXT_MARK: &str = "<|endoftext|>";

/// Who speaks in a [`ChatLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// The word the template uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatLine {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said, taken literally.
    pub text: String,
}

impl ChatLine {
    /// A message of `role` saying `text`.
    pub fn new(role: ChatRole, text: impl Into<String>) -> Self {
        Self { role, text: text.into() }
    }
}

/// A piece of a rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PromptPart {
    StartMark,
    EndMark,
    Text(String),
}

/// Renders `lines` and opens the assistant's answer.
pub(crate) fn render_parts(lines: &[ChatLine]) -> Vec<PromptPart> {
    let mut parts = Vec::with_capacity(lines.len().saturating_mul(4).saturating_add(6));
    let mut push_line = |role: ChatRole, text: &str| {
        parts.push(PromptPart::StartMark);
        parts.push(PromptPart::Text(format!("{}\n{text}", role.as_str())));
        parts.push(PromptPart::EndMark);
        parts.push(PromptPart::Text("\n".to_owned()));
    };
    if lines.first().is_none_or(|line| line.role != ChatRole::System) {
        push_line(ChatRole::System, DEFAULT_SYSTEM_PROMPT);
    }
    let (closed, opened) = match lines.split_last() {
        Some((last, closed)) if last.role == ChatRole::Assistant => (closed, last.text.as_str()),
        Some(_) | None => (lines, ""),
    };
    for line in closed {
        push_line(line.role, &line.text);
    }
    parts.push(PromptPart::StartMark);
    parts.push(PromptPart::Text(format!("{}\n{opened}", ChatRole::Assistant.as_str())));
    parts
}

/// The prompt for `lines` as one string, for reading and for comparing with other engines.
///
/// Not what the model is fed: there, marks inside a message's text stay text.
#[must_use]
pub fn render_chat(lines: &[ChatLine]) -> String {
    render_parts(lines)
        .into_iter()
        .map(|part| match part {
            PromptPart::StartMark => START_MARK.to_owned(),
            PromptPart::EndMark => END_MARK.to_owned(),
            PromptPart::Text(text) => text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_system_message_gets_the_default_one() {
        assert_eq!(
            render_chat(&[ChatLine::new(ChatRole::User, "hi")]),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
             <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(
            render_chat(&[]),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn own_system_message_replaces_the_default_and_turns_keep_their_order() {
        let lines = [
            ChatLine::new(ChatRole::System, "Be brief."),
            ChatLine::new(ChatRole::User, "a\nb"),
            ChatLine::new(ChatRole::Assistant, ""),
            ChatLine::new(ChatRole::User, "c"),
        ];
        assert_eq!(
            render_chat(&lines),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n\
             <|im_start|>assistant\n<|im_end|>\n<|im_start|>user\nc<|im_end|>\n\
             <|im_start|>assistant\n"
        );
    }

    #[test]
    fn trailing_assistant_message_stays_open() {
        let lines = [
            ChatLine::new(ChatRole::System, "s"),
            ChatLine::new(ChatRole::User, "Count."),
            ChatLine::new(ChatRole::Assistant, "One, two"),
        ];
        assert_eq!(
            render_chat(&lines),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nCount.<|im_end|>\n\
             <|im_start|>assistant\nOne, two"
        );
    }
}
