//! Models: how they are named, what they can do, what one is asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ProviderId, TokenizerId, Tokens};

/// The longest model name seen in the wild is below 150; twice that is a bound, not a limit.
const MODEL_CHARS_MAX: usize = 256;

/// A text that names no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid model name: {rule}")]
pub struct InvalidModel {
    rule: &'static str,
}

/// A model's name in its provider's words, for example `gpt-4o-mini` or `meta-llama/Llama-3.1-8B`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// Checks and wraps a model name.
    ///
    /// # Errors
    /// `InvalidModel` unless it is 1 to 256 visible ASCII characters.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidModel> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > MODEL_CHARS_MAX {
            return Err(InvalidModel { rule: "it must have 1 to 256 characters" });
        }
        if !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidModel { rule: "only visible ASCII characters are allowed" });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({})", self.0)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelId {
    type Error = InvalidModel;
    fn try_from(name: String) -> Result<Self, InvalidModel> {
        Self::new(name)
    }
}

impl From<ModelId> for String {
    fn from(model: ModelId) -> Self {
        model.0.as_ref().to_owned()
    }
}

/// A model of a provider, written `provider/model`; the model part may itself hold slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    /// Who serves it.
    pub provider: ProviderId,
    /// Which one.
    pub model: ModelId,
}

impl ModelRef {
    /// Joins a provider and a model.
    #[must_use]
    pub fn new(provider: ProviderId, model: ModelId) -> Self {
        Self { provider, model }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl FromStr for ModelRef {
    type Err = InvalidModel;
    fn from_str(text: &str) -> Result<Self, InvalidModel> {
        let (provider, model) =
            text.split_once('/').ok_or(InvalidModel { rule: "write it as provider/model" })?;
        let provider = ProviderId::new(provider).map_err(|_| InvalidModel {
            rule: "the part before the first '/' is no provider id",
        })?;
        Ok(Self { provider, model: ModelId::new(model)? })
    }
}

/// Where a model takes its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SystemRole {
    /// It has a system (or developer) role.
    Native,
    /// It has none: instructions are merged into the newest user message.
    MergedIntoUser,
}

/// How a provider caches prompt prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheStyle {
    /// Not at all.
    None,
    /// By itself, on equal prefixes.
    Automatic,
    /// At the marks the request carries.
    Marked,
}

/// What a model takes in besides text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Modalities {
    /// Images.
    pub images: bool,
    /// Files (PDF and the like), natively.
    pub files: bool,
    /// Audio.
    pub audio: bool,
}

/// A model's capabilities, from its provider's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Which model.
    pub model: ModelRef,
    /// Input and output together, in tokens.
    pub context_window: Tokens,
    /// The most it can put out in one call.
    pub output_max: Tokens,
    /// What it takes in.
    pub modalities: Modalities,
    /// Where instructions go.
    pub system_role: SystemRole,
    /// It can call tools.
    pub tools: bool,
    /// How its prompt cache works.
    pub cache: CacheStyle,
    /// It goes on from a trailing assistant message.
    pub prefill: bool,
    /// Whose vocabulary counts for it.
    pub tokenizer: TokenizerId,
}

/// What a call asks of a model besides the prompt; every field has the provider's default.
///
/// There is deliberately no output cap that reaches the wire from here: `output_tokens_max` is a
/// wish, the cap on the wire is the one the permit carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// Sampling temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The most output the caller wants, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<Tokens>,
    /// Texts that end the output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed for providers that take one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// `low`, `medium`, `high` and the like, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
}

impl ModelOptions {
    /// These options where set, `defaults` elsewhere.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self {
            temperature: self.temperature.or(defaults.temperature),
            top_p: self.top_p.or(defaults.top_p),
            output_tokens_max: self.output_tokens_max.or(defaults.output_tokens_max),
            stop: if self.stop.is_empty() { defaults.stop.clone() } else { self.stop.clone() },
            seed: self.seed.or(defaults.seed),
            reasoning_effort: self
                .reasoning_effort
                .clone()
                .or_else(|| defaults.reasoning_effort.clone()),
        }
    }
}
