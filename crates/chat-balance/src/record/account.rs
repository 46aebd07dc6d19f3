//! Accounts: what they count, their totals, and what they are opened with.

use chat_types::{AccountId, AccountUnit, Money, MoneyOverflow, UserId};
use serde::{Deserialize, Serialize};

use super::lot::AccountState;
use crate::Refill;

/// Whether an account can run dry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Holds are refused when it is short.
    Limited,
    /// Holds are always given; they are held and posted all the same.
    Unlimited,
}

impl AccountKind {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Unlimited => "unlimited",
        }
    }

    /// The kind of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Limited, Self::Unlimited].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What an account is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// Names it within the tenant.
    pub id: AccountId,
    /// The only user who finds it; none: every user of the tenant.
    pub owner: Option<UserId>,
    /// Whether it can run dry.
    pub kind: AccountKind,
    /// What it counts.
    pub unit: AccountUnit,
    /// Granted at opening under the key `opening`; zero grants nothing.
    pub opening: Money,
    /// How it is filled again. Not kept with the account: whoever asks for a hold says what holds
    /// then, so a changed plan needs no change of any account.
    pub refill: Option<Refill>,
    /// Low below this, in its unit; none: never. Not kept with the account, as `refill` is not.
    pub warn_below: Option<Money>,
}

impl AccountSpec {
    /// An account in US dollars that everybody in the tenant finds, opened with nothing.
    #[must_use]
    pub fn new(id: AccountId, kind: AccountKind) -> Self {
        Self {
            id,
            owner: None,
            kind,
            unit: AccountUnit::Usd,
            opening: Money::ZERO,
            refill: None,
            warn_below: None,
        }
    }
}

/// An account and its running totals, each zero or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names it within the tenant.
    pub id: AccountId,
    /// The only user who finds it.
    pub owner: Option<UserId>,
    /// Whether it can run dry.
    pub kind: AccountKind,
    /// What it counts.
    pub unit: AccountUnit,
    /// Grants so far.
    pub granted: Money,
    /// Refunds so far.
    pub refunded: Money,
    /// Open holds.
    pub held: Money,
    /// Usage and overruns so far.
    pub posted: Money,
    /// Grants that ran out unused.
    pub expired: Money,
    /// What is behind the totals.
    pub state: AccountState,
}

impl Account {
    /// A new account without any credit.
    #[must_use]
    pub fn opened(spec: &AccountSpec) -> Self {
        Self {
            id: spec.id.clone(),
            owner: spec.owner.clone(),
            kind: spec.kind,
            unit: spec.unit,
            granted: Money::ZERO,
            refunded: Money::ZERO,
            held: Money::ZERO,
            posted: Money::ZERO,
            expired: Money::ZERO,
            state: AccountState::default(),
        }
    }

    /// What can still be held; negative after an overrun and on unlimited accounts.
    ///
    /// # Errors
    /// `MoneyOverflow` if a partial sum does not fit.
    pub fn available(&self) -> Result<Money, MoneyOverflow> {
        self.granted.plus(self.refunded)?.minus(self.held)?.minus(self.posted)?.minus(self.expired)
    }
}
