//! OpenAI's encodings: their names, their models, and how each is counted.
//!
//! `o200k_base` and `cl100k_base` are counted in linear time on any input; the older encodings go
//! through a tokenizer that is not, so their over-long runs are cut first. Vocabularies are
//! embedded, built at the first count and then shared by the whole process.

use chat_types::{TokenizerId, Tokens};
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

use crate::runs::short_runs;

/// An encoding of OpenAI's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OpenAiEncoding {
    /// GPT-4o, GPT-4.1, GPT-5 and the o series; gpt-oss too, whose text uses the same vocabulary.
    O200kBase,
    /// GPT-4, GPT-3.5 and the embeddings.
    Cl100kBase,
    /// `text-davinci-002` and `-003`, Codex.
    P50kBase,
    /// The edit models.
    P50kEdit,
    /// GPT-2 and the first GPT-3 models.
    R50kBase,
}

impl OpenAiEncoding {
    /// All of them, newest first.
    pub const ALL: [Self; 5] =
        [Self::O200kBase, Self::Cl100kBase, Self::P50kBase, Self::P50kEdit, Self::R50kBase];

    /// The encoding of a model by its name, dated and fine-tuned names included.
    ///
    /// A vendor's prefix as routers write it (`openai/gpt-4o`) is ignored.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or(model);
        Some(match get_tokenizer(name)? {
            Tokenizer::O200kHarmony | Tokenizer::O200kBase => Self::O200kBase,
            Tokenizer::Cl100kBase => Self::Cl100kBase,
            Tokenizer::P50kBase => Self::P50kBase,
            Tokenizer::P50kEdit => Self::P50kEdit,
            Tokenizer::R50kBase | Tokenizer::Gpt2 => Self::R50kBase,
        })
    }

    /// The encoding with this name, for example `o200k_base`.
    #[must_use]
    pub fn of_tokenizer(tokenizer: &TokenizerId) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == tokenizer.as_str())
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
            Self::P50kBase => "p50k_base",
            Self::P50kEdit => "p50k_edit",
            Self::R50kBase => "r50k_base",
        }
    }

    /// Its name as a tokenizer.
    #[must_use]
    pub const fn tokenizer(self) -> TokenizerId {
        TokenizerId::from_static(self.as_str())
    }

    /// The tokens of `text`; special tokens written in it count as the text they are.
    pub(crate) fn count(self, text: &str) -> Tokens {
        let odd = match self {
            Self::O200kBase => return Tokens::from_len(bpe_openai::o200k_base().count(text)),
            Self::Cl100kBase => return Tokens::from_len(bpe_openai::cl100k_base().count(text)),
            Self::P50kBase => tiktoken_rs::p50k_base_singleton(),
            Self::P50kEdit => tiktoken_rs::p50k_edit_singleton(),
            Self::R50kBase => tiktoken_rs::r50k_base_singleton(),
        };
        short_runs(text).map(|piece| Tokens::from_len(odd.count_ordinary(piece))).sum()
    }
}
