//! The counter of the example's model: one word is one token.
//!
//! A real vendor's counter knows a vocabulary and how messages are framed; this one has neither,
//! so its counts are exact and can be checked by eye. White space alone costs nothing.

use chat_tokens::{TokenCounter, count_parts};
use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

/// Counts words: what is between white space.
#[derive(Clone, Debug)]
pub struct WordCounter {
    tokenizer: TokenizerId,
}

impl WordCounter {
    /// The name its counts are stored under.
    pub const TOKENIZER: TokenizerId = TokenizerId::from_static("words");

    /// The counter; it has no settings.
    #[must_use]
    pub fn new() -> Self {
        Self { tokenizer: Self::TOKENIZER }
    }
}

impl Default for WordCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenCounter for WordCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }

    fn provenance(&self) -> Provenance {
        Provenance::Counted
    }

    fn count_text(&self, text: &str) -> Tokens {
        Tokens::from_len(text.split_whitespace().count())
    }

    /// The example frames messages with nothing: a message costs what its parts cost.
    fn count_message(&self, _role: Role, parts: &[ContentPart]) -> Tokens {
        count_parts(self, parts)
    }

    fn priming(&self) -> Tokens {
        Tokens::ZERO
    }

    /// By their text; the model itself takes no tools.
    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        tools
            .iter()
            .flat_map(|tool| [&tool.name, &tool.description, &tool.parameters])
            .map(|text| self.count_text(text))
            .sum()
    }
}
