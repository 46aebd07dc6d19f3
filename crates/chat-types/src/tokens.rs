//! Tokens as a unit of their own, and counts that say where they come from.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// A number of tokens. Never mixed with money or bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tokens(u64);

impl Tokens {
    /// No tokens.
    pub const ZERO: Self = Self(0);

    /// Wraps a number of tokens.
    #[must_use]
    pub const fn new(tokens: u64) -> Self {
        Self(tokens)
    }

    /// Wraps a length in memory as a number of tokens.
    #[must_use]
    pub fn from_len(len: usize) -> Self {
        Self(u64::try_from(len).unwrap_or(u64::MAX))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Adds, stopping at the largest number: a bound that is too large refuses, it never wraps.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Subtracts; `None` if `other` is larger.
    #[must_use]
    pub const fn checked_minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// `self * numerator / denominator`, rounded up, stopping at the largest number.
    #[must_use]
    pub fn scaled_up(self, numerator: u32, denominator: u32) -> Self {
        let scaled =
            (u128::from(self.0) * u128::from(numerator)).div_ceil(u128::from(denominator.max(1)));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Sum for Tokens {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a tokenizer, for example `o200k_base` or `gguf:smollm2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenizerId(std::borrow::Cow<'static, str>);

impl TokenizerId {
    /// Names a tokenizer by a text known at compile time.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(name))
    }

    /// Names a tokenizer.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(std::borrow::Cow::Owned(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenizerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a count comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Provenance {
    /// The provider said so.
    Reported,
    /// Counted with the model's own tokenizer.
    Counted,
    /// Counted with another tokenizer, scaled by what the provider reported before.
    Calibrated,
    /// Guessed from the text's size.
    Estimated,
}

impl Provenance {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Calibrated => "calibrated",
            Self::Estimated => "estimated",
        }
    }

    /// The provenance of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Reported, Self::Counted, Self::Calibrated, Self::Estimated]
            .into_iter()
            .find(|provenance| provenance.as_str() == name)
    }

    /// The weaker of two: what a sum of both is worth.
    #[must_use]
    pub fn weaker(self, other: Self) -> Self {
        self.max(other)
    }
}

/// A count, the tokenizer it holds for, and how far it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// How many.
    pub tokens: Tokens,
    /// In whose vocabulary.
    pub tokenizer: TokenizerId,
    /// How we know.
    pub provenance: Provenance,
}
