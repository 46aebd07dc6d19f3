#![doc = include_str!("../README.md")]

mod arithmetic;
mod bert;
mod counter;
mod embedder;
mod embedding_weights;
mod engine;
mod error;
mod load;
mod load_once;
mod matrix;
mod model;
mod provider;
mod safetensors;
mod sampler;
mod stop;
mod template;
mod tokenizer;
mod weights;
mod wire;
mod word_pieces;

pub use counter::{LOCAL_TOKENIZER, LocalCounter};
pub use embedder::{EMBEDDING_MODEL, LocalEmbedder};
pub use embedding_weights::{
    EMBEDDING_TOKENIZER_FILE_NAME, EMBEDDING_WEIGHTS_FILE_NAME, EmbeddingFiles,
    find_embedding_weights,
};
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
