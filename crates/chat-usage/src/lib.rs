#![doc = "Metering."]
mod error;
pub use error::UsageError;
