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

pub use book::PriceBook;
pub use entry::{LongContext, PriceEntry, PriceSet};
pub use error::UsageError;
pub use memory::MemoryUsageStore;
pub use price::{bound, cap_for, cost};
pub use recorder::{Cost, GrantRequest, Quote, SettledStep, UsageRecorder};
pub use store::{UsageQuery, UsageRow, UsageStore};

/// What every method here answers with.
pub type Result<T, E = UsageError> = std::result::Result<T, E>;
