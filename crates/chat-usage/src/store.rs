//! The port of usage rows: one per attempt that reached a provider.

use std::fmt;

use async_trait::async_trait;
use chat_types::{
    AttemptKey, ConversationId, ModelRef, Money, Purpose, Scope, Timestamp, Usage, UsageSource,
};

use crate::Result;

/// One attempt: what it consumed, what it cost and by which prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Names it: one row per attempt, ever.
    pub key: AttemptKey,
    /// The conversation it was made for.
    pub conversation: ConversationId,
    /// What the call was for.
    pub purpose: Purpose,
    /// The model that was asked (never an alias).
    pub model: ModelRef,
    /// What it consumed.
    pub usage: Usage,
    /// Who says so.
    pub source: UsageSource,
    /// The exact cost.
    pub amount: Money,
    /// Which prices were used.
    pub price_version: String,
    /// The provider's own name of the call.
    pub provider_request_id: Option<String>,
    /// When it was settled.
    pub at: Timestamp,
}

/// Which rows to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Only this conversation.
    pub conversation: Option<ConversationId>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Up to but without this moment.
    pub until: Option<Timestamp>,
    /// After this row, in the order written; after a row the scope does not have comes nothing.
    pub after: Option<AttemptKey>,
    /// At most this many, 1 to 1,000; 0 means 1,000.
    pub limit: u32,
}

/// Append-only usage rows of one store.
#[async_trait]
pub trait UsageStore: fmt::Debug + Send + Sync + 'static {
    /// Writes rows; a row whose key is there already is left as it is. All or none.
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()>;

    /// Reads rows of a scope in the order they were written.
    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>>;

    /// All rows of all scopes in the order they were written, `after` many skipped: for audits.
    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>>;
}

const _DYN_SAFE: fn(&dyn UsageStore) = |_| {};
