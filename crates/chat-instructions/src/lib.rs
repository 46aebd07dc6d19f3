#![doc = include_str!("../README.md")]

mod block;
mod compose;
mod cue;
mod kind;
mod lint;
mod place;
mod scan;

pub use block::{InstructionBlock, Volatility};
pub use compose::{ComposedBlock, ComposedInstructions, compose};
pub use kind::VolatileKind;
pub use lint::{VOLATILE_VALUES_MAX, VolatileValue, lint};
pub use place::{Placement, place, place_tail};
