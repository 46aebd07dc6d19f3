#![doc = include_str!("../README.md")]

mod book;
mod book_file;
mod decimal;
mod entry;
mod error;
mod memory;
mod price;
mod recorder;
mod store;

pub use book::{BookInfo, PriceBook};
pub use entry::{LongContext, PriceEntry, PriceSet, PriceTier};
pub use error::UsageError;
pub use memory::MemoryUsageStore;
pub use price::{
    CallShape, HELD, REPORTED, bound, bound_of, cap_for, cap_for_shape, cost, cost_of, tier_of,
};
pub use recorder::{Cost, GrantRequest, Quote, SettledStep, UsageRecorder};
pub use store::{UsageQuery, UsageRow, UsageStore};

/// What every method here answers with.
pub type Result<T, E = UsageError> = std::result::Result<T, E>;
