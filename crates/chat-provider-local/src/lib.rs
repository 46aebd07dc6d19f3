#![doc = include_str!("../README.md")]

mod counter;
mod engine;
mod error;
mod load;
mod matrix;
mod model;
mod provider;
mod sampler;
mod stop;
mod template;
mod tokenizer;
mod weights;
mod wire;

pub use counter::{LOCAL_TOKENIZER, LocalCounter};
pub use engine::{
    GenerateOptions, Generating, GenerationEvent, GenerationSummary, LocalEngine, Reservation,
};
pub use error::{FETCH_COMMAND, LocalError, LocalErrorKind};
pub use provider::{LOCAL_MODEL, LOCAL_PROVIDER, LocalProvider};
pub use sampler::Sampling;
pub use template::{ChatLine, ChatRole, DEFAULT_SYSTEM_PROMPT, render_chat};
pub use tokenizer::ChatTokenizer;
pub use weights::{
    WEIGHTS_FILE_NAME, WEIGHTS_LENGTH_BYTES, WEIGHTS_SHA256, cached_weights_path, check_weights,
    find_weights,
};
