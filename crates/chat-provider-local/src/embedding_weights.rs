//! Where the embedding model's two files are, and a cheap check that they are whole.
//!
//! Not here: fetching and checksums (the fetch command does both), decoding (`safetensors`).

use std::path::{Path, PathBuf};

use crate::error::LocalError;
use crate::weights::cached_weights_path;

/// The weights' file name: all-MiniLM-L6-v2, Apache-2.0.
pub const EMBEDDING_WEIGHTS_FILE_NAME: &str = "all-MiniLM-L6-v2.safetensors";

/// The tokenizer's file name; it stands beside the weights.
pub const EMBEDDING_TOKENIZER_FILE_NAME: &str = "all-MiniLM-L6-v2.tokenizer.json";

/// Length in bytes of [`EMBEDDING_WEIGHTS_FILE_NAME`]; any other length is a damaged file.
const WEIGHTS_LENGTH_BYTES: u64 = 90_868_376;

/// Length in bytes of [`EMBEDDING_TOKENIZER_FILE_NAME`].
const TOKENIZER_LENGTH_BYTES: u64 = 466_247;

/// The model's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingFiles {
    /// The weights, a safetensors file.
    pub weights: PathBuf,
    /// The tokenizer, a JSON file.
    pub tokenizer: PathBuf,
}

/// Finds the files: in `folder` if given, else in the user's cache folder, where the fetch command
/// puts them. Calling it again looks again.
///
/// # Errors
/// `WeightsMissing` names the place looked at and the command that fetches the files;
/// `WeightsUnreadable`; `WeightsInvalid` for a file of another length.
pub fn find_embedding_weights(folder: Option<&Path>) -> Result<EmbeddingFiles, LocalError> {
    let cached = || cached_weights_path().and_then(|path| path.parent().map(Path::to_path_buf));
    let folder = folder.map(Path::to_path_buf).or_else(cached).ok_or_else(|| {
        LocalError::weights_missing(
            "the user's cache folder (neither XDG_CACHE_HOME nor HOME is set)",
        )
    })?;
    let files = EmbeddingFiles {
        weights: folder.join(EMBEDDING_WEIGHTS_FILE_NAME),
        tokenizer: folder.join(EMBEDDING_TOKENIZER_FILE_NAME),
    };
    check_length(&files.weights, WEIGHTS_LENGTH_BYTES)?;
    check_length(&files.tokenizer, TOKENIZER_LENGTH_BYTES)?;
    Ok(files)
}

fn check_length(path: &Path, expected: u64) -> Result<(), LocalError> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => LocalError::weights_missing(&path.display().to_string()),
        _ => LocalError::weights_unreadable(path, error),
    })?;
    let length = metadata.len();
    if metadata.is_file() && length == expected {
        return Ok(());
    }
    let finding = format!("it has {length} bytes instead of {expected}");
    Err(LocalError::weights_invalid(path, &finding))
}
