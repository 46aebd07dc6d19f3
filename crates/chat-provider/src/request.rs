//! What a model is asked, before and after translation into its dialect.

use chat_types::{ModelId, ModelOptions, Prompt, Tokens};

/// One model call in our words. It has no cap field: the cap on the wire is the permit's.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The provider's name of the model.
    pub model: ModelId,
    /// Everything that is sent.
    pub prompt: Prompt,
    /// Sampling and the like; `output_tokens_max` is not read here.
    pub options: ModelOptions,
    /// Ask for the reply in pieces; the events are the same either way.
    pub stream: bool,
    /// Our count of the prompt.
    pub input_tokens: Tokens,
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
        }
    }

    /// The same for a body that asks for a service tier.
    #[must_use]
    pub fn with_tier(mut self, tier: Option<String>) -> Self {
        self.tier = tier;
        self
    }
}
