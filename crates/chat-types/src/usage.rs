//! What one model call consumed, in disjoint buckets.

use serde::{Deserialize, Serialize};

use crate::Tokens;

/// Five buckets that never overlap; each provider's adapter normalises into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens neither read from nor written to a cache.
    pub input_uncached: Tokens,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: Tokens,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write: Tokens,
    /// Output tokens the reader sees (text and tool calls).
    pub output: Tokens,
    /// Output tokens spent on reasoning.
    pub reasoning: Tokens,
}

impl Usage {
    /// All input, cached or not.
    #[must_use]
    pub fn input_total(&self) -> Tokens {
        self.input_uncached.plus(self.cache_read).plus(self.cache_write)
    }

    /// All output, reasoning included.
    #[must_use]
    pub fn output_total(&self) -> Tokens {
        self.output.plus(self.reasoning)
    }

    /// Adds bucket by bucket.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input_uncached: self.input_uncached.plus(other.input_uncached),
            cache_read: self.cache_read.plus(other.cache_read),
            cache_write: self.cache_write.plus(other.cache_write),
            output: self.output.plus(other.output),
            reasoning: self.reasoning.plus(other.reasoning),
        }
    }
}

/// Who says what a call consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageSource {
    /// The provider reported it.
    Provider,
    /// We settled an estimate: the outcome of the call is not known to the token.
    Estimated,
    /// A later report corrected an estimate.
    Adjusted,
    /// History of another system: no journal step and no ledger entry stand behind it.
    Imported,
}

impl UsageSource {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Adjusted => "adjusted",
            Self::Imported => "imported",
        }
    }

    /// The source of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Provider, Self::Estimated, Self::Adjusted, Self::Imported]
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}
