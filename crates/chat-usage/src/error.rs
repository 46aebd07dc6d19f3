//! What metering refuses, and what it could not do.

use std::error::Error as StdError;

use chat_balance::{BalanceError, Refusal};
use chat_types::{ModelRef, MoneyOverflow, Tokens};

/// A refused or failed metering operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The price book has no price for the model at that time.
    #[error("no price is known for {model}")]
    UnknownPrice {
        /// The model.
        model: ModelRef,
    },
    /// The accounts cannot give what even the smallest reply may cost.
    #[error("the balance does not cover the smallest reply")]
    Refused {
        /// Which account is short of what.
        refusal: Box<Refusal>,
    },
    /// The wanted output is below the least that is worth a call.
    #[error("an output cap of {cap} tokens is below the least of {least}")]
    CapTooSmall {
        /// What was wanted.
        cap: Tokens,
        /// The least.
        least: Tokens,
    },
    /// A price table is wrong; says where.
    #[error("the price book is invalid: {detail}")]
    InvalidPriceBook {
        /// Which line or model, and what is wrong with it.
        detail: String,
    },
    /// An amount does not fit.
    #[error("a cost does not fit")]
    Overflow(#[from] MoneyOverflow),
    /// The ledger refused or failed for another reason.
    #[error("the ledger refused")]
    Balance(#[source] BalanceError),
    /// The usage store did not take or give rows.
    #[error("the usage store failed: {detail}")]
    Store {
        /// What was wrong.
        detail: String,
        /// The same call may succeed later.
        transient: bool,
        /// Why underneath.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl UsageError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPrice { .. } => "unknown_price",
            Self::Refused { .. } => "insufficient_funds",
            Self::CapTooSmall { .. } => "output_cap_too_small",
            Self::InvalidPriceBook { .. } => "invalid_price_book",
            Self::Overflow(_) => "invalid_amount",
            Self::Balance(error) => error.code(),
            Self::Store { .. } => "usage_store_failed",
        }
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Balance(error) => error.is_transient(),
            Self::Store { transient, .. } => *transient,
            _ => false,
        }
    }
}

impl From<BalanceError> for UsageError {
    fn from(error: BalanceError) -> Self {
        match error.refusal() {
            Some(refusal) => Self::Refused { refusal: Box::new(refusal.clone()) },
            None => Self::Balance(error),
        }
    }
}
