//! Exact counts in the embedded model's own vocabulary, for the counting port.

use std::sync::Arc;

use chat_tokens::TokenCounter;
use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::template::ChatRole;
use crate::tokenizer::ChatTokenizer;
use crate::wire::chat_line;

/// The model's vocabulary.
pub const LOCAL_TOKENIZER: TokenizerId = TokenizerId::from_static("gguf:smollm2");

/// `<|im_start|>`, `<|im_end|>` and the line break after it.
const PER_MESSAGE: Tokens = Tokens::new(3);

/// Counts for the embedded model: the sum of its messages and the priming is what the model is fed,
/// to the token. Only the default system prompt, which is added when a conversation has none, is
/// not part of any message; a prepared call counts it.
#[derive(Debug, Clone)]
pub struct LocalCounter {
    tokenizer: Arc<ChatTokenizer>,
    id: TokenizerId,
}

impl LocalCounter {
    /// Counts with `tokenizer`.
    #[must_use]
    pub fn new(tokenizer: Arc<ChatTokenizer>) -> Self {
        Self { tokenizer, id: LOCAL_TOKENIZER }
    }
}

impl TokenCounter for LocalCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &self.id
    }

    fn provenance(&self) -> Provenance {
        Provenance::Counted
    }

    /// A text the tokenizer refuses (none is known) counts by its bytes, which it cannot exceed.
    fn count_text(&self, text: &str) -> Tokens {
        self.tokenizer.count_text(text).map_or_else(|_| Tokens::from_len(text.len()), Tokens::new)
    }

    fn count_message(&self, role: Role, parts: &[ContentPart]) -> Tokens {
        let line = chat_line(role, parts);
        PER_MESSAGE.plus(self.count_text(&format!("{}\n{}", line.role.as_str(), line.text)))
    }

    /// The opening of the answer.
    fn priming(&self) -> Tokens {
        Tokens::new(1).plus(self.count_text(&format!("{}\n", ChatRole::Assistant.as_str())))
    }

    /// The model takes no tools: what is not sent costs nothing.
    fn count_tools(&self, _tools: &[ToolSpec]) -> Tokens {
        Tokens::ZERO
    }
}
