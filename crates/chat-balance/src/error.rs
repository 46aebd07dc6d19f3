//! What a ledger refuses, and what it could not do.

use std::error::Error as StdError;

use chat_types::{AccountId, AccountUnit, Money, MoneyOverflow, Timestamp};

/// Which account is short of what: enough to tell the user, no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The account that is short.
    pub account: AccountId,
    /// What it counts.
    pub unit: AccountUnit,
    /// The least that would have been accepted.
    pub need: Money,
    /// Balance less open holds.
    pub available: Money,
    /// Open holds.
    pub held: Money,
    /// When it is refilled next, if ever.
    pub refill_at: Option<Timestamp>,
}

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BalanceErrorKind {
    /// An account is short of funds; see [`BalanceError::refusal`].
    InsufficientFunds,
    /// No such account or hold for this scope.
    NotFound,
    /// The key was used for something else, or the hold is resolved in another way.
    Conflict,
    /// An amount is negative or does not fit.
    InvalidAmount,
    /// The ledger did not answer; the call is safe to repeat.
    Unavailable,
    /// What is stored cannot be read, or breaks an invariant; it was left untouched.
    Corrupt,
}

/// A refused or failed ledger operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {detail}")]
pub struct BalanceError {
    kind: BalanceErrorKind,
    operation: &'static str,
    detail: String,
    refusal: Option<Box<Refusal>>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BalanceError {
    /// A refusal without a cause underneath.
    pub fn new(kind: BalanceErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, operation, detail: detail.into(), refusal: None, source: None }
    }

    /// An account is short.
    #[must_use]
    pub fn refused(operation: &'static str, refusal: Refusal) -> Self {
        let show = |amount| refusal.unit.show(amount);
        let detail = format!(
            "account {} needs {} and has {} available ({} held)",
            refusal.account,
            show(refusal.need),
            show(refusal.available),
            show(refusal.held)
        );
        let refusal = Some(Box::new(refusal));
        Self { kind: BalanceErrorKind::InsufficientFunds, operation, detail, refusal, source: None }
    }

    /// The same with the driver's error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> BalanceErrorKind {
        self.kind
    }

    /// The numbers of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            BalanceErrorKind::InsufficientFunds => "insufficient_funds",
            BalanceErrorKind::NotFound => "account_not_found",
            BalanceErrorKind::Conflict => "ledger_conflict",
            BalanceErrorKind::InvalidAmount => "invalid_amount",
            BalanceErrorKind::Unavailable => "ledger_unavailable",
            BalanceErrorKind::Corrupt => "ledger_corrupt",
        }
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == BalanceErrorKind::Unavailable
    }
}

impl From<MoneyOverflow> for BalanceError {
    fn from(overflow: MoneyOverflow) -> Self {
        Self::new(BalanceErrorKind::InvalidAmount, "ledger arithmetic", "an amount does not fit")
            .with_source(overflow)
    }
}
