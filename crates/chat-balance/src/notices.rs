//! `NoticeSink`: who hears the ledger's notices.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;

use crate::Notice;

/// How long a notice waits to be delivered. 30 days: longer than any outage of a listener that
/// somebody still wants to hear of, and a bound where nobody listens.
pub const NOTICES_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Takes notices to where somebody hears them.
///
/// Each comes at least once and may come again, also from another process: its tenant and
/// [`Notice::key`] say that it is the same one.
#[async_trait]
pub trait NoticeSink: fmt::Debug + Send + Sync + 'static {
    /// Delivers one notice; `Ok` only if it need not come again. Ends by itself, within seconds:
    /// those behind it wait.
    ///
    /// # Errors
    /// [`NotDelivered`], whatever the reason: it comes again later.
    async fn deliver(&self, notice: &Notice) -> Result<(), NotDelivered>;
}

/// A notice that was not delivered this time.
#[derive(Debug, thiserror::Error)]
#[error("a notice was not delivered: {detail}")]
pub struct NotDelivered {
    detail: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl NotDelivered {
    /// Says why, without secrets.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), source: None }
    }

    /// The same with what is underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

const _: fn(&dyn NoticeSink) = |_| {};
