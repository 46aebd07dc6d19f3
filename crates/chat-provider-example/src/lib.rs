#![doc = include_str!("../README.md")]

mod counter;
mod provider;
mod reply;
mod wire;

pub use counter::WordCounter;
pub use provider::{EXAMPLE_MODEL, EXAMPLE_PROVIDER, ExampleProvider};
