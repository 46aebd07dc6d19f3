//! What comes back, as the servers write it: chunks, whole replies, errors, the list of models.
//!
//! Texts are borrowed from the event they came in. Unknown fields are ignored and every field may be
//! null or missing, because servers differ. Not here: what it means (`decode`, `usage`, `error`).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::scalar::{Count, Scalar};

/// The dialect, as sealed parts name it.
pub const CHAT_COMPLETIONS_API: &str = "chat_completions";

/// A text that is borrowed unless it has escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A chunk of a stream, or a whole reply: the same but for `delta` and `message`.
#[derive(Debug, Deserialize)]
pub(crate) struct Completion<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(crate) usage: Option<WireUsage<'a>>,
    /// Which tier serves the call: OpenAI's `default`, `flex`, `priority`.
    #[serde(borrow, default)]
    pub(crate) service_tier: Scalar<'a>,
    #[serde(borrow, default)]
    pub(crate) error: Option<WireError<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    pub(crate) index: Count,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    /// Only in whole replies; boxed, so that a chunk does not carry room for it.
    #[serde(borrow, default)]
    pub(crate) message: Option<Box<Delta<'a>>>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Option<Text<'a>>,
    /// DeepSeek's, llama.cpp's and vLLM's name.
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<Text<'a>>,
    /// OpenRouter's and Ollama's name.
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<Text<'a>>,
    /// OpenRouter's sealed reasoning, which goes back as it came.
    #[serde(borrow, default)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<ToolCallDelta<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToolCallDelta<'a> {
    #[serde(default)]
    pub(crate) index: Count,
    #[serde(borrow, default)]
    pub(crate) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(crate) function: Option<FunctionDelta<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireUsage<'a> {
    pub(crate) prompt_tokens: Count,
    pub(crate) completion_tokens: Count,
    pub(crate) total_tokens: Count,
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
    pub(crate) completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for cached tokens.
    pub(crate) prompt_cache_hit_tokens: Count,
    /// OpenRouter's: what the call cost, as it was written; money is no floating point number.
    #[serde(borrow)]
    pub(crate) cost: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: Count,
    pub(crate) cache_write_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompletionDetails {
    pub(crate) reasoning_tokens: Count,
}

/// An error body's inner part: an object, or a bare text as some servers write it.
#[derive(Debug, Default)]
pub(crate) struct WireError<'a>(pub(crate) ErrorFields<'a>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorFields<'a> {
    /// A name at OpenAI, the status as a number at llama.cpp and OpenRouter.
    #[serde(borrow)]
    pub(crate) code: Scalar<'a>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) param: Scalar<'a>,
    /// May quote the user; only searched for known phrases, never shown.
    #[serde(borrow)]
    pub(crate) message: Scalar<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for WireError<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ErrorFields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an error object or text")
            }

            fn visit_str<E>(self, message: &str) -> Result<Self::Value, E> {
                Ok(ErrorFields {
                    message: Scalar(Cow::Owned(message.to_owned())),
                    ..ErrorFields::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ErrorFields::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Either).map(Self)
    }
}

/// The list of models; Ollama and llama.cpp add lists of their own beside `data`.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelList<'a> {
    #[serde(borrow, default)]
    pub(crate) data: Vec<ModelEntry<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ModelEntry<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Scalar<'a>,
}
