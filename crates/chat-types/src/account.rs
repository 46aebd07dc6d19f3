//! What an account counts, and what is said of one that is low.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Money, Timestamp};

/// What an account counts. Its amounts are integers of this, in [`Money`]'s clothes: the rules are
/// the same for dollars and for quotas.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AccountUnit {
    /// Nano-USD: what a call costs.
    #[default]
    Usd,
    /// Calls: one for each attempt that reached a provider.
    Requests,
    /// Tokens of input and output together.
    Tokens,
}

impl AccountUnit {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }

    /// The unit of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Usd, Self::Requests, Self::Tokens].into_iter().find(|unit| unit.as_str() == name)
    }

    /// An amount in this unit, for people: `$1.50`, `3 requests`.
    #[must_use]
    pub fn show(self, amount: Money) -> String {
        match self {
            Self::Usd => amount.to_string(),
            Self::Requests | Self::Tokens => format!("{} {}", amount.nano_usd(), self.as_str()),
        }
    }
}

/// An account that was low when a step was held: a warning, the step is paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowAccount {
    /// Which.
    pub account: AccountId,
    /// What it counts.
    pub unit: AccountUnit,
    /// What was left, the step's own hold included.
    pub left: Money,
    /// What its plan calls low: less than this.
    pub threshold: Money,
    /// When it is filled again, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill_at: Option<Timestamp>,
}
