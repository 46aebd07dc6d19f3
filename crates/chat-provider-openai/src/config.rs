//! Which server is called, with which key, and what is known about its models.
//!
//! Neither this nor the provider ever shows the key. Not here: reading the environment or a file,
//! which is the program's.

use std::collections::BTreeMap;
use std::fmt;

use chat_transport::{RetryPolicy, Timeouts};
use chat_types::{CacheStyle, InvalidModel, Modalities, ModelId, ProviderId, TokenizerId, Tokens};
use secrecy::SecretString;

/// Where OpenAI itself answers.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// The environment variable that OpenAI's own clients read the key from.
pub const OPENAI_KEY_NAME: &str = "OPENAI_API_KEY";

/// The window of a model nothing is known about: what Ollama and llama.cpp give the least.
const WINDOW_UNKNOWN: Tokens = Tokens::new(8_192);

/// The name of the request's field that carries the output cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapField {
    /// OpenAI's own; the cap includes reasoning.
    MaxCompletionTokens,
    /// What compatible servers read.
    MaxTokens,
}

impl CapField {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxTokens => "max_tokens",
        }
    }
}

/// What the operator knows better about a model than the built-in table; nothing set changes
/// nothing. A model that is named here is served, whatever the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOverride {
    /// Input and output together.
    pub context_window: Option<Tokens>,
    /// The most output of one call.
    pub output_max: Option<Tokens>,
    /// Whose vocabulary counts for it, for example `o200k_base`.
    pub tokenizer: Option<TokenizerId>,
    /// Whether it can call tools.
    pub tools: Option<bool>,
    /// Whether it goes on from a trailing assistant message (llama.cpp and Ollama do).
    pub prefill: Option<bool>,
    /// Whether its instructions go under the role `developer` instead of `system`.
    pub developer_role: Option<bool>,
    /// What it takes in besides text.
    pub modalities: Option<Modalities>,
    /// How its prompt cache works: `Marked` for models of Anthropic behind a router, which cache at the
    /// marks that a request carries.
    pub cache: Option<CacheStyle>,
}

/// A server that speaks Chat Completions.
#[derive(Clone)]
pub struct OpenAiConfig {
    /// The name the provider goes by.
    pub id: ProviderId,
    /// Where the server answers, without `/chat/completions`; it usually ends in `/v1`.
    pub base_url: String,
    /// Sent as a bearer token; local servers need none.
    pub api_key: Option<SecretString>,
    /// Where the key comes from, for error messages: an environment variable or a config key.
    pub key_name: String,
    /// The model used when nobody chose one.
    pub default_model: ModelId,
    /// What is known better about single models, by their full name.
    pub models: BTreeMap<String, ModelOverride>,
    /// The window of models nothing else is known about; OpenAI itself has no such models.
    pub default_window: Tokens,
    /// How the cap is called; none: `max_completion_tokens` at OpenAI, `max_tokens` elsewhere.
    pub cap_field: Option<CapField>,
    /// The service tier every request asks for, for example OpenAI's `flex`; none: the server's own
    /// choice, which is not asked for and not held for.
    pub service_tier: Option<String>,
    /// The server reports what a call cost (`usage.cost`), and in US dollars, as OpenRouter does:
    /// that is charged instead of the price book's. Off unless you know it of your server.
    pub cost_in_usd: bool,
    /// Sent with every request, for example OpenRouter's `HTTP-Referer`. Values are not shown.
    pub extra_headers: BTreeMap<String, String>,
    /// The bounds in time of one attempt. A local server that reads a long prompt on a CPU may need
    /// a larger `first_byte_ms`.
    pub timeouts: Timeouts,
    /// How often and how patiently a call is sent again.
    pub retry: RetryPolicy,
    /// Seeds the waits between attempts; none: drawn, so that processes do not retry in step.
    pub jitter_seed: Option<u64>,
}

impl OpenAiConfig {
    /// OpenAI itself.
    #[must_use]
    pub fn openai(id: ProviderId, default_model: ModelId, api_key: Option<SecretString>) -> Self {
        Self { api_key, ..Self::compatible(id, OPENAI_BASE_URL, default_model) }
    }

    /// Any other server, without a key.
    #[must_use]
    pub fn compatible(id: ProviderId, base_url: impl Into<String>, default_model: ModelId) -> Self {
        Self {
            id,
            base_url: base_url.into(),
            api_key: None,
            key_name: OPENAI_KEY_NAME.to_owned(),
            default_model,
            models: BTreeMap::new(),
            default_window: WINDOW_UNKNOWN,
            cap_field: None,
            service_tier: None,
            cost_in_usd: false,
            extra_headers: BTreeMap::new(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            jitter_seed: None,
        }
    }

    /// OpenAI under the provider id `openai`, with the model `gpt-4o-mini`.
    ///
    /// # Errors
    /// None in practice: both names are valid.
    pub fn openai_default(api_key: Option<SecretString>) -> Result<Self, InvalidModel> {
        let model: chat_types::ModelRef = "openai/gpt-4o-mini".parse()?;
        Ok(Self::openai(model.provider, model.model, api_key))
    }

    /// Whether the server is OpenAI's own, whose models are all known.
    #[must_use]
    pub fn is_official(&self) -> bool {
        let host = self.host().split(':').next().unwrap_or_default();
        host == "api.openai.com" || host.ends_with(".api.openai.com")
    }

    /// The host and port of the base URL.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    pub(crate) fn cap_field(&self) -> CapField {
        self.cap_field.unwrap_or(if self.is_official() {
            CapField::MaxCompletionTokens
        } else {
            CapField::MaxTokens
        })
    }

    /// The address of one of the server's paths, for example `chat/completions`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base_url.trim_end_matches('/'))
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenAiConfig")
            .field("id", &self.id)
            // The host alone: a user part or a query may hold a key.
            .field("host", &self.host())
            .field("has_api_key", &self.api_key.is_some())
            .field("key_name", &self.key_name)
            .field("default_model", &self.default_model)
            .field("models", &self.models)
            .field("default_window", &self.default_window)
            .field("cap_field", &self.cap_field())
            .field("service_tier", &self.service_tier)
            .field("cost_in_usd", &self.cost_in_usd)
            .field("extra_header_names", &self.extra_headers.keys())
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
