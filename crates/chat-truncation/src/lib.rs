#![doc = include_str!("../README.md")]

mod cut;
mod due;
mod entry;
mod error;
mod fill;
mod finish;
mod ladder;
mod payload;
mod plan;
mod policy;
mod reserve;
mod rung;
mod shorten;
mod shrink;
mod start;
mod unit;
mod whole;
mod window;

pub use error::PolicyError;
pub use fill::{Offer, WindowFill};
pub use ladder::Ladder;
pub use payload::{InstructionsPlacement, arrange};
pub use plan::{
    DropReason, Fate, Gap, Plan, PlanOutcome, Planned, SummaryDue, TooLarge, TrimReason,
};
pub use policy::{RUNGS_MAX, TruncationPolicy, TruncationStrategy, WindowStart};
pub use rung::{
    CapMessages, DropBlocks, MaskToolResults, MiddleOut, RecentWindow, Rung, Summarise,
};
pub use shrink::CountMessage;
pub use start::{LadderStart, Reserve, SizedMessage};
pub use unit::{Repair, RepairKind, UNIT_MESSAGES_MAX, Unit, UnitGrouper, units};
pub use whole::PlanRequest;
pub use window::{Window, WindowOutcome, fill_window};
