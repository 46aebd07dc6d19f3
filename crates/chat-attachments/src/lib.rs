#![doc = include_str!("../README.md")]

mod kind;
mod name;
mod sniff;

pub use kind::FileKind;
pub use name::{LABEL_BYTES_MAX, clean_label};
pub use sniff::{Sniffed, sniff};
