//! A guess from the text's bytes, for models whose vocabulary is not public.
//!
//! It leans high, so that a prompt that fits by the guess fits in truth for ordinary text; dense
//! text (base64, hex) can still cost more. It says so: its provenance is `estimated` and its
//! counts are stored under the name `estimate`, never under the model's own tokenizer.

use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::counter::{TokenCounter, count_parts};

/// Guesses by the size of each character in bytes.
///
/// In thirds of a token: an ASCII letter or space 1, other ASCII 3, two bytes (Greek, Cyrillic,
/// Arabic) 2, three bytes (Chinese, Japanese, Korean) 5, four bytes (emoji) 9.
#[derive(Clone, Debug)]
pub struct EstimateCounter {
    tokenizer: TokenizerId,
}

impl EstimateCounter {
    /// The name its counts are stored under.
    pub const TOKENIZER: TokenizerId = TokenizerId::from_static("estimate");
    /// Role, separators and end mark: one more than OpenAI's three plus the role.
    const PER_MESSAGE: Tokens = Tokens::new(5);
    const PRIMING: Tokens = Tokens::new(3);
    const PER_TOOL: Tokens = Tokens::new(12);

    /// The estimate; it has no settings.
    #[must_use]
    pub fn new() -> Self {
        Self { tokenizer: Self::TOKENIZER }
    }
}

impl Default for EstimateCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenCounter for EstimateCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }

    fn provenance(&self) -> Provenance {
        Provenance::Estimated
    }

    fn count_text(&self, text: &str) -> Tokens {
        let thirds: u64 = text
            .chars()
            .map(|character| match character {
                'a'..='z' | 'A'..='Z' | ' ' => 1,
                '\0'..='\x7f' => 3,
                '\u{80}'..='\u{7ff}' => 2,
                '\u{800}'..='\u{ffff}' => 5,
                _ => 9,
            })
            .sum();
        Tokens::new(thirds.div_ceil(3))
    }

    fn count_message(&self, _role: Role, parts: &[ContentPart]) -> Tokens {
        Self::PER_MESSAGE.plus(count_parts(self, parts))
    }

    fn priming(&self) -> Tokens {
        Self::PRIMING
    }

    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        tools
            .iter()
            .map(|tool| {
                Self::PER_TOOL
                    .plus(self.count_text(&tool.name))
                    .plus(self.count_text(&tool.description))
                    .plus(self.count_text(&tool.parameters))
            })
            .sum()
    }
}
