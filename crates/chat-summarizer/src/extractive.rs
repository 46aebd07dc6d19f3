//! The reference: keeps the head of each message. Deterministic, offline, free.

use async_trait::async_trait;
use chat_types::{Message, Role, Summary};

use crate::{Summarizer, SummaryError, SummaryRequest};

/// Enough for the first sentence or two of a message.
const MESSAGE_CHARS_DEFAULT: usize = 160;

/// Keeps the first characters of each message, one line each.
///
/// The result has at most as many bytes as the request allows tokens: a token of the vocabularies
/// in use is at least one byte, so the bound holds in all of them. Newer lines are kept first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractiveSummarizer {
    message_chars: usize,
}

impl Default for ExtractiveSummarizer {
    fn default() -> Self {
        Self { message_chars: MESSAGE_CHARS_DEFAULT }
    }
}

impl ExtractiveSummarizer {
    /// Keeps up to `message_chars` characters of each message.
    #[must_use]
    pub const fn keeping(message_chars: usize) -> Self {
        Self { message_chars }
    }

    fn line(self, message: &Message) -> Option<String> {
        let text = message.text();
        let mut words = text.split_whitespace();
        let mut line = String::from(words.next()?);
        for word in words {
            line.push(' ');
            line.push_str(word);
            if line.len() > self.message_chars.saturating_mul(4) {
                break; // No character takes more than 4 bytes: there is enough.
            }
        }
        let head: String = line.chars().take(self.message_chars).collect();
        (!head.is_empty()).then(|| format!("{}: {head}", speaker(message.role)))
    }
}

const fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
    }
}

#[async_trait]
impl Summarizer for ExtractiveSummarizer {
    async fn summarize(&self, request: SummaryRequest) -> Result<Summary, SummaryError> {
        let bytes_max = usize::try_from(request.tokens_max.get()).unwrap_or(usize::MAX);
        let newest_first = request
            .messages
            .iter()
            .rev()
            .filter_map(|message| self.line(message))
            .chain(request.previous.iter().map(|previous| previous.text.clone()));
        let mut kept = Vec::new();
        let mut bytes: usize = 0;
        for line in newest_first {
            let with_line = bytes.saturating_add(line.len()).saturating_add(1);
            if with_line > bytes_max {
                break;
            }
            bytes = with_line;
            kept.push(line);
        }
        kept.reverse();
        request.summary_of(&kept.join("\n"))
    }
}
