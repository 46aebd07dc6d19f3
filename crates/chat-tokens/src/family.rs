//! Estimates for vendors whose vocabulary is not public: OpenAI's count times what it was found to
//! differ by.
//!
//! Vocabularies of one size split text alike, so a real count of another vocabulary is a far better
//! guess than a length. The factors lean high; they were compared in October 2026 with counts that
//! the vendors reported for the same page of prose and the same table of numbers.

use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::counter::{TokenCounter, count_parts};
use crate::encoding::OpenAiEncoding;
use crate::media::MediaRules;

/// A family of models that count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EstimateFamily {
    /// Anthropic's models up to Opus 4.6, Sonnet 4.6 and Haiku 4.5.
    Claude,
    /// Anthropic's models since Opus 4.7, whose vocabulary needs a third more.
    ClaudeSince47,
    /// Google's Gemini, which counts every digit.
    Gemini,
}

/// What a family's count differs by.
#[derive(Clone, Copy, Debug)]
struct Constants {
    tokenizer: &'static str,
    /// Tokens for a thousand of `o200k_base`.
    permille: u32,
    /// Tokens on top for a thousand characters from U+0800 on: Chinese, Japanese, Korean, Indic.
    wide_permille: u32,
    /// Tokens on top for a thousand digits.
    digit_permille: u32,
    per_message: u64,
    priming: u64,
    per_tool: u64,
    /// What the vendor says of tools to the model, once if there are any.
    tools: u64,
}

const CLAUDE: Constants = Constants {
    tokenizer: "estimate:claude",
    // Reported: 0.95 for prose, 1.04 for a table.
    permille: 1_100,
    wide_permille: 500,
    digit_permille: 0,
    per_message: 5,
    priming: 6,
    per_tool: 24,
    // Published for Claude 3 Opus, the largest of its generation; 346 for Claude 4.
    tools: 530,
};

const CLAUDE_SINCE_47: Constants = Constants {
    tokenizer: "estimate:claude-4.7",
    // Reported: 1.41 for prose, 1.33 for a table.
    permille: 1_450,
    wide_permille: 500,
    digit_permille: 0,
    per_message: 7,
    priming: 8,
    per_tool: 32,
    // What the older vocabulary needs, in the newer one.
    tools: 770,
};

const GEMINI: Constants = Constants {
    tokenizer: "estimate:gemini",
    // Reported: 0.99 for prose; 1.24 for a table, by its digits.
    permille: 1_050,
    wide_permille: 100,
    digit_permille: 700,
    per_message: 4,
    priming: 3,
    per_tool: 16,
    tools: 16,
};

impl EstimateFamily {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Claude, Self::ClaudeSince47, Self::Gemini];

    /// The family of a model by its name, whatever a router puts before it; none if it is in none.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        match MediaRules::of_model(model).name {
            "claude-3" | "claude-4" => Some(Self::Claude),
            "claude-4.7" => Some(Self::ClaudeSince47),
            "gemini-2" | "gemini-3" => Some(Self::Gemini),
            _ => None,
        }
    }

    const fn constants(self) -> Constants {
        match self {
            Self::Claude => CLAUDE,
            Self::ClaudeSince47 => CLAUDE_SINCE_47,
            Self::Gemini => GEMINI,
        }
    }

    /// The name its counts are stored under: never a vendor's own tokenizer.
    #[must_use]
    pub const fn tokenizer(self) -> TokenizerId {
        TokenizerId::from_static(self.constants().tokenizer)
    }
}

/// Estimates for a family. Making one is free; the vocabulary is built at the first count.
#[derive(Clone, Debug)]
pub struct FamilyEstimate {
    constants: Constants,
    tokenizer: TokenizerId,
}

impl FamilyEstimate {
    /// The estimate for `family`.
    #[must_use]
    pub fn new(family: EstimateFamily) -> Self {
        Self { constants: family.constants(), tokenizer: family.tokenizer() }
    }
}

impl TokenCounter for FamilyEstimate {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }

    fn provenance(&self) -> Provenance {
        Provenance::Estimated
    }

    fn count_text(&self, text: &str) -> Tokens {
        let Constants { permille, wide_permille, digit_permille, .. } = self.constants;
        let scaled = OpenAiEncoding::O200kBase.count(text).scaled_up(permille, 1_000);
        let of = |wanted: fn(char) -> bool, permille: u32| match permille {
            0 => Tokens::ZERO,
            _ => Tokens::from_len(text.chars().filter(|c| wanted(*c)).count())
                .scaled_up(permille, 1_000),
        };
        let wide = of(|character| character >= '\u{800}', wide_permille);
        scaled.plus(wide).plus(of(|character| character.is_ascii_digit(), digit_permille))
    }

    fn count_message(&self, _role: Role, parts: &[ContentPart]) -> Tokens {
        Tokens::new(self.constants.per_message).plus(count_parts(self, parts))
    }

    fn priming(&self) -> Tokens {
        Tokens::new(self.constants.priming)
    }

    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        if tools.is_empty() {
            return Tokens::ZERO;
        }
        let schemas = tools.iter().map(|tool| {
            Tokens::new(self.constants.per_tool)
                .plus(self.count_text(&tool.name))
                .plus(self.count_text(&tool.description))
                .plus(self.count_text(&tool.parameters))
        });
        schemas.sum::<Tokens>().plus(Tokens::new(self.constants.tools))
    }
}
