#![doc = include_str!("../README.md")]

mod fill;
mod payload;
mod policy;
mod transcript;
mod unit;
mod window;

pub use fill::{Offer, WindowFill};
pub use payload::{InstructionsPlacement, arrange};
pub use policy::{TruncationPolicy, TruncationStrategy};
pub use transcript::{message_transcript, transcript};
pub use unit::{Repair, RepairKind, UNIT_MESSAGES_MAX, Unit, UnitGrouper, units};
pub use window::{Window, WindowOutcome, fill_window};
