#![doc = include_str!("../README.md")]

mod accounting;
mod counter;
mod encoding;
mod estimate;
mod image;
mod openai;
mod runs;
mod stored;

pub use accounting::TokenAccounting;
pub use counter::{TokenCounter, count_parts};
pub use encoding::OpenAiEncoding;
pub use estimate::EstimateCounter;
pub use image::{IMAGE_TOKENS_MAX, image_tokens};
pub use openai::OpenAiCounter;
pub use stored::{CountOrigin, count_stored};
