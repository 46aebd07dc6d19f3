#![doc = include_str!("../README.md")]

mod covered;
mod extractive;
mod summarizer;

pub use covered::{covered_hash, covered_hash_after, covered_prefix, covers};
pub use extractive::ExtractiveSummarizer;
pub use summarizer::{Summarizer, SummaryError, SummaryErrorKind, SummaryRequest};
