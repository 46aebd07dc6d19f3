//! The embedding model's tokenizer: words and their pieces, read from its file.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::error::LocalError;

/// Tokens that the model reads, its two marks included: what it was trained with.
pub(crate) const WINDOW_TOKENS: usize = 256;

/// The marks around each text.
const MARKS: usize = 2;

/// The longest text that is cut into pieces: 256 words of 100 characters, beyond which the model's
/// own rule takes a word for unknown.
const TEXT_BYTES_MAX: usize = 32 * 1024;

/// Cuts text into the pieces that the model knows.
#[derive(Debug)]
pub(crate) struct WordPieces {
    tokenizer: Tokenizer,
    start_id: u32,
    end_id: u32,
}

impl WordPieces {
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let invalid = |finding: &str| LocalError::weights_invalid(path, finding);
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                LocalError::weights_missing(&path.display().to_string())
            }
            _ => LocalError::weights_unreadable(path, error),
        })?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes)
            .map_err(|error| invalid("it holds no tokenizer").with_source(error))?;
        // The file asks for texts of 128 tokens, filled up; here each has the length it has.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| invalid("it cannot be set up").with_source(error))?;
        // A mark that a user typed stays text.
        tokenizer.set_encode_special_tokens(true);
        let id = |mark: &str| {
            tokenizer.token_to_id(mark).ok_or_else(|| invalid("its tokenizer lacks the marks"))
        };
        let (start_id, end_id) = (id("[CLS]")?, id("[SEP]")?);
        Ok(Self { tokenizer, start_id, end_id })
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, LocalError> {
        let add_special_tokens = false;
        self.tokenizer
            .encode_fast(text, add_special_tokens)
            .map_err(|error| LocalError::inference("a text was not tokenized").with_source(error))
    }

    /// The tokens of all of `text`, marks not counted.
    pub(crate) fn count(&self, text: &str) -> Result<usize, LocalError> {
        Ok(self.encode(text)?.get_ids().len())
    }

    /// What the model is fed: the start of `text` between its marks.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, LocalError> {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        let encoding = self.encode(text.get(..end).unwrap_or(text))?;
        let kept = encoding.get_ids().iter().take(WINDOW_TOKENS - MARKS);
        Ok([self.start_id].iter().chain(kept).chain(&[self.end_id]).copied().collect())
    }

    /// Tokens of a text that is read whole.
    pub(crate) const fn text_tokens_max() -> usize {
        WINDOW_TOKENS - MARKS
    }
}
