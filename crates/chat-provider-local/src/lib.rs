#![doc = include_str!("../README.md")]

mod engine;
mod error;
mod load;
mod matrix;
mod model;
mod sampler;
mod template;
mod tokenizer;
mod weights;

pub use engine::{
    FinishReason, GenerateOptions, Generating, GenerationEvent, GenerationSummary, LocalEngine,
};
pub use error::{FETCH_COMMAND, LocalError, LocalErrorKind};
pub use sampler::Sampling;
pub use template::{ChatLine, ChatRole, DEFAULT_SYSTEM_PROMPT, render_chat};
pub use tokenizer::ChatTokenizer;
pub use weights::{
    WEIGHTS_FILE_NAME, WEIGHTS_LENGTH_BYTES, WEIGHTS_SHA256, cached_weights_path, check_weights,
    find_weights,
};
