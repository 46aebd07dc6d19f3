//! Accounts, holds and entries as data.
//!
//! Per account, after every operation: granted + refunded = available + held + posted + expired.

use std::borrow::Cow;

use chat_types::{AccountId, Money, MoneyOverflow, Scope, StepKey, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

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
    /// Granted at opening under the key `opening`; zero grants nothing.
    pub opening: Money,
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
}

impl Account {
    /// A new account without any credit.
    #[must_use]
    pub fn opened(spec: &AccountSpec) -> Self {
        Self {
            id: spec.id.clone(),
            owner: spec.owner.clone(),
            kind: spec.kind,
            granted: Money::ZERO,
            refunded: Money::ZERO,
            held: Money::ZERO,
            posted: Money::ZERO,
            expired: Money::ZERO,
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

/// What is asked of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegRequest {
    /// The account.
    pub account: AccountId,
    /// What is wanted.
    pub amount: Money,
    /// The least that is accepted; between the two, a limited account gives what it has.
    pub floor: Money,
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
    /// Reserved so far, extensions included.
    pub amount: Money,
    /// Posted when it was settled, the overrun included.
    pub posted: Money,
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
    /// The least that any leg has reserved: what the step may spend.
    #[must_use]
    pub fn covered(&self) -> Money {
        self.legs.iter().map(|leg| leg.amount).min().unwrap_or(Money::ZERO)
    }
}

/// What one attempt costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which attempt of the step.
    pub attempt: u32,
    /// Zero or more.
    pub amount: Money,
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

/// Money that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// Given or bought.
    Grant,
    /// Given back.
    Refund,
}

/// A grant or a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Where to.
    pub account: AccountId,
    /// Which kind.
    pub kind: CreditKind,
    /// The caller's key: the same key and amount twice is one credit.
    pub key: String,
    /// More than zero.
    pub amount: Money,
    /// When.
    pub at: Timestamp,
}

/// One side of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where grants come from.
    Source,
    /// An account of ours.
    Wallet(AccountId),
    /// What was earned.
    Revenue,
    /// What ran out unused.
    Expired,
}

impl Side {
    /// The stored name: `source`, `revenue`, `expired` or `wallet:ACCOUNT`.
    #[must_use]
    pub fn stored_name(&self) -> Cow<'static, str> {
        match self {
            Self::Source => "source".into(),
            Self::Revenue => "revenue".into(),
            Self::Expired => "expired".into(),
            Self::Wallet(account) => format!("wallet:{account}").into(),
        }
    }

    /// The side of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        match name {
            "source" => Some(Self::Source),
            "revenue" => Some(Self::Revenue),
            "expired" => Some(Self::Expired),
            _ => name.strip_prefix("wallet:")?.parse().ok().map(Self::Wallet),
        }
    }
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// Source to wallet.
    Grant,
    /// Revenue to wallet.
    Refund,
    /// Wallet to revenue, covered by a hold; may be zero.
    Usage,
    /// Wallet to revenue, beyond the hold.
    Overrun,
    /// Wallet to expired.
    Expiry,
}

impl EntryKind {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Refund => "refund",
            Self::Usage => "usage",
            Self::Overrun => "overrun",
            Self::Expiry => "expiry",
        }
    }

    /// The kind of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Grant, Self::Refund, Self::Usage, Self::Overrun, Self::Expiry]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// Rows of a ledger as they were in another one, to be restored.
///
/// A whole ledger may come in several of these; its books are sound when all of it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRows {
    /// Accounts with their totals, and the tenants they live in.
    pub accounts: Vec<(TenantId, Account)>,
    /// Holds.
    pub holds: Vec<Hold>,
    /// Entries in the order they were written.
    pub entries: Vec<Entry>,
}

/// One line of the journal; never changed, never deleted; unique by `(tenant, kind, reference)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub scope: Scope,
    /// Where from.
    pub debit: Side,
    /// Where to.
    pub credit: Side,
    /// Zero or more.
    pub amount: Money,
    /// Why.
    pub kind: EntryKind,
    /// `ACCOUNT/KEY` of a credit, `ACCOUNT/TURN/STEP/ATTEMPT` of usage, `ACCOUNT/TURN/STEP` of an
    /// overrun.
    pub reference: String,
    /// When.
    pub at: Timestamp,
}
