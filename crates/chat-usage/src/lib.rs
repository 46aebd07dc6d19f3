#![doc = include_str!("../README.md")]

mod book;
mod decimal;
mod error;
mod memory;
mod price;
mod recorder;
mod store;

pub use book::PriceBook;
pub use error::UsageError;
pub use memory::MemoryUsageStore;
pub use price::{LongContext, PriceEntry, PriceSet, bound, cap_for, cost};
pub use recorder::{Cost, GrantRequest, Quote, SettledStep, UsageRecorder};
pub use store::{UsageQuery, UsageRow, UsageStore};

/// What every method here answers with.
pub type Result<T, E = UsageError> = std::result::Result<T, E>;
