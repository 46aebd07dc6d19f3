//! Holds: what is reserved for a step, and how it is resolved.

use chat_types::{AccountId, AccountUnit, Money, MoneyOverflow, Scope, StepKey, Timestamp, Tokens};
use serde::{Deserialize, Serialize};

use super::lot::Lot;
use crate::Refill;

/// What is asked of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegRequest {
    /// The account.
    pub account: AccountId,
    /// What is wanted.
    pub amount: Money,
    /// The least that is accepted; between the two, a limited account gives what it has.
    pub floor: Money,
    /// How the account is filled again: what is due by now is given first.
    pub refill: Option<Refill>,
    /// A limited account whose balance, open holds included, is below this is low: the hold says
    /// so, and a notice tells it once. None: never.
    pub warn_below: Option<Money>,
}

impl LegRequest {
    /// All or nothing of `amount`, by no plan.
    #[must_use]
    pub fn exactly(account: AccountId, amount: Money) -> Self {
        Self { account, amount, floor: amount, refill: None, warn_below: None }
    }
}

/// A hold over several accounts: all legs or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The step it pays for: the same key twice is one hold.
    pub key: StepKey,
    /// One to sixteen accounts, each named once.
    pub legs: Vec<LegRequest>,
    /// When.
    pub at: Timestamp,
}

/// Where a hold stands. It leaves `Open` once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// Reserved.
    Open,
    /// Settled: posted, the rest given back.
    Posted,
    /// Given back whole: no provider was reached.
    Released,
}

impl HoldState {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Posted => "posted",
            Self::Released => "released",
        }
    }

    /// The state of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Open, Self::Posted, Self::Released].into_iter().find(|state| state.as_str() == name)
    }
}

/// What one account has given to a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLeg {
    /// The account.
    pub account: AccountId,
    /// What it counts.
    #[serde(default, skip_serializing_if = "is_usd")]
    pub unit: AccountUnit,
    /// Reserved so far, extensions included.
    pub amount: Money,
    /// Posted when it was settled, the overrun included.
    pub posted: Money,
    /// What of it was taken from lots, in burn order; the rest is plain money. Kept when the hold
    /// is resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lots: Vec<Lot>,
    /// What the hold's plan calls low; kept so that settling judges by the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_below: Option<Money>,
    /// The balance it was taken from, open holds included, if that was low then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<Money>,
}

fn is_usd(unit: &AccountUnit) -> bool {
    *unit == AccountUnit::Usd
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose step.
    pub scope: Scope,
    /// The step.
    pub key: StepKey,
    /// Where it stands.
    pub state: HoldState,
    /// Per account.
    pub legs: Vec<HoldLeg>,
    /// The newest extension that was taken (the attempt it was for), 1 at the start.
    pub extended_to: u32,
    /// When it was taken.
    pub opened_at: Timestamp,
    /// When it was settled or released.
    pub closed_at: Option<Timestamp>,
}

impl Hold {
    /// The least that any leg in this unit has reserved, what the step may spend of it; none if no
    /// account counts it.
    #[must_use]
    pub fn covered(&self, unit: AccountUnit) -> Option<Money> {
        self.legs.iter().filter(|leg| leg.unit == unit).map(|leg| leg.amount).min()
    }
}

/// What is reserved before another attempt, on every leg in its own unit; one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The attempt it is for; an extension for the same or an older one changes nothing.
    pub attempt: u32,
    /// US dollars, zero or more.
    pub amount: Money,
    /// Tokens.
    pub tokens: Tokens,
    /// When.
    pub at: Timestamp,
}

/// What one attempt costs: one request, and these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which attempt of the step.
    pub attempt: u32,
    /// US dollars, zero or more.
    pub amount: Money,
    /// Tokens of input and output.
    pub tokens: Tokens,
}

/// The part of a posting or an extension that an account of this unit counts.
pub(crate) fn in_unit(
    unit: AccountUnit,
    amount: Money,
    tokens: Tokens,
) -> Result<Money, MoneyOverflow> {
    match unit {
        AccountUnit::Usd => Ok(amount),
        AccountUnit::Requests => Ok(Money::from_nano_usd(1)),
        AccountUnit::Tokens => {
            i64::try_from(tokens.get()).map(Money::from_nano_usd).map_err(|_| MoneyOverflow)
        }
    }
}

/// How a hold is settled: every attempt that reached a provider, in full, on every leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The step.
    pub key: StepKey,
    /// One per attempt, each attempt once, in order.
    pub postings: Vec<Posting>,
    /// When.
    pub at: Timestamp,
}
