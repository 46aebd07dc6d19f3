//! The counter for OpenAI's models: their vocabularies and the way they frame messages.
//!
//! The framing is the one OpenAI documents for Chat Completions: 3 tokens per message and the
//! role's own, 1 more for a name, 3 per request for the reply's priming.

use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::counter::{TokenCounter, count_parts};
use crate::encoding::OpenAiEncoding;

const PER_MESSAGE: Tokens = Tokens::new(3);
const PER_NAME: Tokens = Tokens::new(1);
const PRIMING: Tokens = Tokens::new(3);
/// OpenAI frames each function with 7 tokens.
const PER_TOOL: Tokens = Tokens::new(7);
/// OpenAI closes the list of functions with 12 tokens.
const TOOLS_END: Tokens = Tokens::new(12);

/// Counts for one of OpenAI's encodings.
///
/// Making one is free; the vocabulary is built at the first count.
#[derive(Clone, Debug)]
pub struct OpenAiCounter {
    encoding: OpenAiEncoding,
    tokenizer: TokenizerId,
}

impl OpenAiCounter {
    /// A counter for `encoding`.
    #[must_use]
    pub fn new(encoding: OpenAiEncoding) -> Self {
        Self { encoding, tokenizer: encoding.tokenizer() }
    }

    /// The counter of a model by its name; none if it is not one of OpenAI's.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        OpenAiEncoding::of_model(model).map(Self::new)
    }

    /// What a speaker's name adds to a message.
    #[must_use]
    pub fn count_name(&self, name: &str) -> Tokens {
        PER_NAME.plus(self.count_text(name))
    }
}

impl TokenCounter for OpenAiCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }

    fn provenance(&self) -> Provenance {
        Provenance::Counted
    }

    fn count_text(&self, text: &str) -> Tokens {
        self.encoding.count(text)
    }

    fn count_message(&self, role: Role, parts: &[ContentPart]) -> Tokens {
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        PER_MESSAGE.plus(self.count_text(role)).plus(count_parts(self, parts))
    }

    fn priming(&self) -> Tokens {
        PRIMING
    }

    /// The schema counts as the JSON text it is, which is a little more than what OpenAI makes
    /// of it.
    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        if tools.is_empty() {
            return Tokens::ZERO;
        }
        tools
            .iter()
            .map(|tool| {
                PER_TOOL
                    .plus(self.count_text(&tool.name))
                    .plus(self.count_text(&tool.description))
                    .plus(self.count_text(&tool.parameters))
            })
            .sum::<Tokens>()
            .plus(TOOLS_END)
    }
}
