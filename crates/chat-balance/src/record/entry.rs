//! Entries: the journal's lines, and what moves without a hold.

use std::borrow::Cow;

use chat_types::{AccountId, Money, Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::lot::PRIORITY;

/// What moves without a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// Given or bought.
    Grant,
    /// Given back: also what an estimate took too much.
    Refund,
    /// Taken: what an estimate took too little. May leave less than nothing.
    Adjustment,
}

impl CreditKind {
    /// The kind of its entry.
    #[must_use]
    pub const fn entry_kind(self) -> EntryKind {
        match self {
            Self::Grant => EntryKind::Grant,
            Self::Refund => EntryKind::Refund,
            Self::Adjustment => EntryKind::Adjustment,
        }
    }
}

/// A grant, a refund or an adjustment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Where to.
    pub account: AccountId,
    /// Which kind.
    pub kind: CreditKind,
    /// The caller's key: the same key and amount twice is one credit.
    pub key: String,
    /// More than zero, in the account's unit.
    pub amount: Money,
    /// When.
    pub at: Timestamp,
    /// Of a grant: lower burns first; [`PRIORITY`] for money without any.
    pub priority: u8,
    /// Of a grant: what is left then runs out. None: never.
    pub expires_at: Option<Timestamp>,
}

impl Credit {
    /// Money without priority or expiry.
    #[must_use]
    pub fn new(
        account: AccountId,
        kind: CreditKind,
        key: impl Into<String>,
        amount: Money,
        at: Timestamp,
    ) -> Self {
        Self { account, kind, key: key.into(), amount, at, priority: PRIORITY, expires_at: None }
    }
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
    /// Wallet to revenue, without a hold.
    Adjustment,
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
            Self::Adjustment => "adjustment",
            Self::Expiry => "expiry",
        }
    }

    /// The kind of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Grant, Self::Refund, Self::Usage, Self::Overrun, Self::Adjustment, Self::Expiry]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
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
    /// `ACCOUNT/KEY` of a credit and of what runs out of it, `ACCOUNT/KEY/TURN/STEP` if it ran out
    /// while it was held, `ACCOUNT/refill/PERIOD` of a refill, `ACCOUNT/TURN/STEP/ATTEMPT` of usage,
    /// `ACCOUNT/TURN/STEP` of an overrun.
    pub reference: String,
    /// When.
    pub at: Timestamp,
}
