//! What a model is asked, before and after translation into its dialect.

use std::fmt;
use std::sync::Arc;

use chat_types::{FileId, ModelId, ModelOptions, Prompt, Tokens};

/// A file whose bytes go along with a prompt that names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// The file, as the prompt's parts name it.
    pub file: FileId,
    /// Media type of the bytes.
    pub media_type: String,
    /// The bytes as they are sent: an image is scaled already.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("file", &self.file)
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// One model call in our words. It has no cap field: the cap on the wire is the permit's.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The provider's name of the model.
    pub model: ModelId,
    /// Everything that is sent.
    pub prompt: Prompt,
    /// The files that it names and that go along as they are, each once.
    pub media: Vec<Media>,
    /// Sampling and the like; `output_tokens_max` is not read here.
    pub options: ModelOptions,
    /// Ask for the reply in pieces; the events are the same either way.
    pub stream: bool,
    /// Our count of the prompt.
    pub input_tokens: Tokens,
}

impl ModelRequest {
    /// The file of this id, if its bytes go along.
    #[must_use]
    pub fn media_of(&self, file: &FileId) -> Option<&Media> {
        self.media.iter().find(|media| media.file == *file)
    }

    fn images(&self) -> u64 {
        let images = self.media.iter().filter(|media| media.media_type.starts_with("image/"));
        u64::try_from(images.count()).unwrap_or(u64::MAX)
    }
}

/// A call translated into the provider's dialect, without its cap.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The provider's name of the model.
    pub model: ModelId,
    /// The body in the dialect's own encoding; the leaf adds the cap when it sends.
    pub body: Vec<u8>,
    /// Ask for the reply in pieces.
    pub stream: bool,
    /// The most input the provider can charge for this body: what the hold is computed from.
    pub input_bound: Tokens,
    /// What the input most likely is: what is billed if the provider never says.
    pub input_estimate: Tokens,
    /// The service tier that the body asks for; none is the standard one. The hold covers both.
    pub tier: Option<String>,
    /// Images that the body holds: some are charged by the piece.
    pub images: u64,
}

impl Prepared {
    /// Wraps a body with the bounds of the ledger's rule: our count and a tenth, and 64 for the
    /// template, never more than one token a byte (byte-level vocabularies cannot exceed it).
    #[must_use]
    pub fn new(request: &ModelRequest, body: Vec<u8>) -> Self {
        let counted = request.input_tokens.scaled_up(11, 10).plus(Tokens::new(64));
        let bytes = Tokens::from_len(body.len()).plus(Tokens::new(64));
        Self {
            model: request.model.clone(),
            body,
            stream: request.stream,
            input_bound: if request.input_tokens == Tokens::ZERO {
                bytes
            } else {
                counted.min(bytes)
            },
            input_estimate: request.input_tokens,
            tier: None,
            images: request.images(),
        }
    }

    /// The same for a body that asks for a service tier.
    #[must_use]
    pub fn with_tier(mut self, tier: Option<String>) -> Self {
        self.tier = tier;
        self
    }
}
