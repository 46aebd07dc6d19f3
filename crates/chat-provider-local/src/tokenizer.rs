//! The model's own tokenizer, read from the weights file.
//!
//! Promises: exact token ids and counts for a text and for a whole rendered chat, the same numbers
//! the model is fed; special marks written inside a text count as plain text. Digits are split one
//! by one, as this model was trained.
//! Not here: the template (`template`), estimates for other models (`chat-tokens`).

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::error::LocalError;
use crate::load::read_header;
use crate::template::{ChatLine, END_MARK, END_OF_TEXT_MARK, PromptPart, START_MARK, render_parts};

/// Counts and encodes text for the embedded model.
///
/// Cheap to use, about a tenth of a second to open; open it once.
#[derive(Debug)]
pub struct ChatTokenizer {
    tokenizer: Tokenizer,
    start_mark_id: u32,
    end_mark_id: u32,
    end_of_text_id: Option<u32>,
    token_bytes_max: usize,
}

impl ChatTokenizer {
    /// Reads the tokenizer from the weights at `path`, without the weights themselves.
    ///
    /// # Errors
    /// As [`crate::check_weights`], and `WeightsInvalid` when the file holds no tokenizer of the
    /// expected kind.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        crate::weights::check_weights(path)?;
        let mut file =
            File::open(path).map_err(|error| LocalError::weights_unreadable(path, error))?;
        let header = read_header(path, &mut file)?;
        Self::from_header(path, &header)
    }

    pub(crate) fn from_header(path: &Path, header: &Content) -> Result<Self, LocalError> {
        let invalid = |finding: &str| LocalError::weights_invalid(path, finding);
        let mut tokenizer = Tokenizer::from_gguf(header)
            .map_err(|error| invalid("it holds no usable tokenizer").with_source(error))?;
        let pre_tokenizer =
            header.metadata.get("tokenizer.ggml.pre").and_then(|value| value.to_string().ok());
        // The GGUF reader does not know this name and falls back to rules that put a space before
        // every text and keep runs of digits together.
        if pre_tokenizer.is_some_and(|name| name == "smollm") {
            let add_prefix_space = false;
            let (trim_offsets, use_regex) = (true, true);
            tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(vec![
                Digits::new(true).into(),
                ByteLevel::new(add_prefix_space, trim_offsets, use_regex).into(),
            ]))));
        }
        let mark_id = |mark: &str| {
            tokenizer.token_to_id(mark).ok_or_else(|| invalid("its tokenizer lacks the chat marks"))
        };
        let (start_mark_id, end_mark_id) = (mark_id(START_MARK)?, mark_id(END_MARK)?);
        let end_of_text_id = tokenizer.token_to_id(END_OF_TEXT_MARK);
        // In this vocabulary each character stands for one byte.
        let tokens =
            header.metadata.get("tokenizer.ggml.tokens").and_then(|value| value.to_vec().ok());
        let lengths = tokens.into_iter().flatten().filter_map(|token| token.to_string().ok());
        let token_bytes_max = lengths.map(|token| token.chars().count()).max().unwrap_or(1).max(1);
        // Marks are put in by id only: one that a user typed stays text.
        tokenizer.set_encode_special_tokens(true);
        Ok(Self { tokenizer, start_mark_id, end_mark_id, end_of_text_id, token_bytes_max })
    }

    /// The token ids of `text`, marks in it taken as plain text.
    ///
    /// # Errors
    /// `Inference` if the tokenizer refuses the text; no text is known that does.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, LocalError> {
        let add_special_tokens = false;
        let encoding = self.tokenizer.encode_fast(text, add_special_tokens).map_err(|error| {
            LocalError::inference("a text was not tokenized").with_source(error)
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The token ids of the whole prompt for `lines`, ready for the model.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn encode_chat(&self, lines: &[ChatLine]) -> Result<Vec<u32>, LocalError> {
        let mut token_ids = Vec::new();
        for part in render_parts(lines) {
            match part {
                PromptPart::StartMark => token_ids.push(self.start_mark_id),
                PromptPart::EndMark => token_ids.push(self.end_mark_id),
                PromptPart::Text(text) => token_ids.extend(self.encode_text(&text)?),
            }
        }
        Ok(token_ids)
    }

    /// A lower bound of [`Self::count_chat`] that costs nothing: whoever is over the window by it
    /// need not tokenize megabytes to know.
    pub(crate) fn count_chat_at_least(&self, lines: &[ChatLine]) -> usize {
        let text_bytes =
            lines.iter().fold(0_usize, |sum, line| sum.saturating_add(line.text.len()));
        text_bytes / self.token_bytes_max
    }

    /// How many tokens `text` is.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn count_text(&self, text: &str) -> Result<u64, LocalError> {
        count(&self.encode_text(text)?)
    }

    /// How many tokens the model is fed for `lines`, template included.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn count_chat(&self, lines: &[ChatLine]) -> Result<u64, LocalError> {
        count(&self.encode_chat(lines)?)
    }

    /// The text of `token_ids`, special marks left out.
    ///
    /// # Errors
    /// `Inference` if an id is not one of this tokenizer's.
    pub fn decode(&self, token_ids: &[u32]) -> Result<String, LocalError> {
        let skip_special_tokens = true;
        self.tokenizer
            .decode(token_ids, skip_special_tokens)
            .map_err(|error| LocalError::inference("token ids were not decoded").with_source(error))
    }

    /// Whether the model ends its answer by emitting `token_id`.
    pub(crate) fn is_end(&self, token_id: u32) -> bool {
        token_id == self.end_mark_id || Some(token_id) == self.end_of_text_id
    }

    pub(crate) fn inner(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

fn count(token_ids: &[u32]) -> Result<u64, LocalError> {
    u64::try_from(token_ids.len())
        .map_err(|error| LocalError::inference("too long").with_source(error))
}
