#![doc = include_str!("../README.md")]

mod covered;
mod extractive;
mod model;
mod prompt;
mod summarizer;
mod transcript;

pub use covered::{covered_hash, covered_hash_after, covered_prefix, covers};
pub use extractive::ExtractiveSummarizer;
pub use model::ModelSummarizer;
pub use prompt::SUMMARY_PROMPT_VERSION;
pub use summarizer::{Summarizer, SummaryError, SummaryErrorKind, SummaryRequest};
pub use transcript::{message_transcript, transcript};
