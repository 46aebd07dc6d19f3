//! `UsageRecorder`: quotes, grants and settles steps.
//!
//! A grant is made only when its hold is durable, and carries the output cap that the hold covers.
//! Not here: prices (`price`), who may spend (`chat-balance`), what happened to a call (the core).

use std::sync::Arc;

use chat_balance::BalanceAdapter;
use chat_types::{
    AccountId, ConversationId, ModelRef, Money, Purpose, Scope, StepGrant, StepKey, Timestamp,
    Tokens, Usage,
};

use crate::{PriceBook, Result, UsageRow, UsageStore};

/// What a step needs money for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// The step.
    pub key: StepKey,
    /// What the call is for.
    pub purpose: Purpose,
    /// The model that is asked.
    pub model: ModelRef,
    /// The most input it can be charged for.
    pub input_bound: Tokens,
    /// The wanted output cap, reasoning included.
    pub output_cap: Tokens,
    /// The accounts that pay, each in full.
    pub accounts: Vec<AccountId>,
    /// The moment whose prices apply.
    pub at: Timestamp,
}

/// What a step would hold, worked out without touching the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// For the wanted cap.
    pub amount: Money,
    /// For the smallest cap that is worth a call.
    pub floor: Money,
    /// Which prices were used.
    pub price_version: String,
}

/// An exact cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How much.
    pub amount: Money,
    /// Which prices were used.
    pub price_version: String,
}

/// A step whose amounts are decided and durable in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledStep {
    /// The step.
    pub key: StepKey,
    /// The conversation it was made for.
    pub conversation: ConversationId,
    /// One row per attempt that reached a provider; never empty (such a step is released).
    pub rows: Vec<UsageRow>,
    /// When.
    pub at: Timestamp,
}

/// Prices calls, holds credit for them and records what they cost.
#[derive(Clone, Debug)]
pub struct UsageRecorder {
    prices: Arc<PriceBook>,
    balance: Arc<dyn BalanceAdapter>,
    store: Arc<dyn UsageStore>,
    output_least: Tokens,
}
