#![doc = include_str!("../README.md")]

mod block;
mod compose;
mod place;

pub use block::{InstructionBlock, Volatility};
pub use compose::{ComposedBlock, ComposedInstructions, compose};
pub use place::{Placement, place};
