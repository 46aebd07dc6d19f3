//! `RuntimeConfig`: everything that is decided before a runtime opens, as one TOML file says it.
//!
//! Unknown keys are refused. There is no field for a secret: a key is named by the environment
//! variable that holds it, so a configuration can be shown. Not here: making anything of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chat_core::TurnConfig;
use chat_types::{CacheStyle, Modalities, Tokens};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::accounts_config::AccountsConfig;
use crate::context_config::ContextConfig;
use crate::files_config::FilesConfig;
use crate::notices_config::NoticesConfig;
use crate::retrieval_config::SourcesConfig;
use crate::store_url::shown_url;
use crate::toml_error::one_line;

/// What a runtime is opened with.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RuntimeConfig {
    /// `sqlite:FILE`, `postgres://…`, `mongodb://…` or `memory:`; empty is refused when it is opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub store: String,
    /// The model used when nobody chose one, as `provider/model` or an alias; none: the first
    /// provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Instructions of the product, before each conversation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// A price book that is asked before the shipped one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<PathBuf>,
    /// Short names for models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Which models stand in for a model that cannot answer, in order; names as in `model`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// Lets a model name new conversations; none: their first line does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub titles: Option<TitlesConfig>,
    /// How prompts are built, and who summarises.
    #[serde(default, skip_serializing_if = "ContextConfig::is_default")]
    pub context: ContextConfig,
    /// Where attached files are kept; none: messages carry no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesConfig>,
    /// Sources that are looked up for every message; none: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<SourcesConfig>,
    /// Providers by the name they go by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Who pays.
    #[serde(default)]
    pub accounts: AccountsConfig,
    /// Who hears what the ledger has to tell.
    #[serde(default, skip_serializing_if = "NoticesConfig::is_none")]
    pub notices: NoticesConfig,
    /// Limits of turns.
    #[serde(default)]
    pub turns: TurnConfig,
}

/// Titles by a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TitlesConfig {
    /// Which one, as in `model`; none: the turn's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// One provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProviderConfig {
    /// OpenAI, or any server that speaks Chat Completions.
    Openai(OpenAiCompatibleConfig),
    /// The embedded model; its name must be `local`.
    Local(LocalConfig),
    /// The offline echo; its name must be `example`.
    Example(ExampleConfig),
}

/// A server that speaks Chat Completions.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenAiCompatibleConfig {
    /// Where it answers, usually ending in `/v1`; none: OpenAI itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable that holds its key; none: `OPENAI_API_KEY` for OpenAI itself and
    /// for the provider named `openai`, no key for any other server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Its model when nobody chose one; none: `gpt-4o-mini`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The window of models nothing is known about, in tokens; none: 8,192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<Tokens>,
    /// How long it may be silent before its first byte; none: 60 s. A CPU that reads a long prompt
    /// needs more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// The service tier every request asks for, for example `flex`; none: the server's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The server reports what a call cost, in US dollars, as OpenRouter does: that is charged
    /// instead of what the price book says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cost_in_usd: bool,
    /// What is known better about single models.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelConfig>,
}

/// What is known better about a model than the built-in table says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelConfig {
    /// Input and output together, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<Tokens>,
    /// The most output of one call, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_max: Option<Tokens>,
    /// Whose vocabulary counts for it, for example `o200k_base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// What it takes in besides text, for example `{ images = true, files = true, audio = false }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// How its prompt cache works: `none`, `automatic`, or `marked` for models that cache at the marks
    /// a request carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheStyle>,
}

/// The embedded model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The weights file; none: the one in the user's cache folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

/// The offline echo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExampleConfig {
    /// The pause before each word, so that an answer can be watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

impl RuntimeConfig {
    /// The store at this URL and nothing else: no provider yet, unlimited accounts.
    #[must_use]
    pub fn new(store: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            model: None,
            instructions: None,
            prices: None,
            aliases: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            titles: None,
            context: ContextConfig::default(),
            files: None,
            retrieval: None,
            providers: BTreeMap::new(),
            accounts: AccountsConfig::default(),
            notices: NoticesConfig::default(),
            turns: TurnConfig::default(),
        }
    }

    /// Reads a TOML text.
    ///
    /// # Errors
    /// `InvalidConfig` naming the line: unknown keys, missing keys, wrong types.
    pub fn from_toml(text: &str) -> Result<Self, RuntimeError> {
        toml::from_str(text)
            .map_err(|error| RuntimeError::InvalidConfig { detail: one_line(&error.to_string()) })
    }

    /// The configuration as TOML, without secrets: it has none, and what a URL hides between its
    /// scheme and its host is left out.
    ///
    /// # Errors
    /// `InvalidConfig` if a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, RuntimeError> {
        toml::to_string_pretty(&self.without_credentials())
            .map_err(|error| RuntimeError::InvalidConfig { detail: error.to_string() })
    }

    /// With this provider under this name.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<String>, provider: ProviderConfig) -> Self {
        self.providers.insert(name.into(), provider);
        self
    }

    /// With OpenAI, its key in `OPENAI_API_KEY`.
    #[must_use]
    pub fn with_openai(self) -> Self {
        self.with_provider("openai", ProviderConfig::Openai(OpenAiCompatibleConfig::default()))
    }

    /// With the embedded model, its weights in the user's cache folder.
    #[must_use]
    pub fn with_local(self) -> Self {
        self.with_provider("local", ProviderConfig::Local(LocalConfig::default()))
    }

    /// With the offline echo.
    #[must_use]
    pub fn with_example(self) -> Self {
        self.with_provider("example", ProviderConfig::Example(ExampleConfig::default()))
    }

    /// With this default model, as `provider/model` or an alias.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    fn without_credentials(&self) -> Self {
        let mut shown = self.clone();
        for provider in shown.providers.values_mut() {
            if let ProviderConfig::Openai(server) = provider {
                server.base_url = server.base_url.as_deref().map(shown_url);
            }
        }
        if let AccountsConfig::External(service) = &mut shown.accounts {
            service.base_url = shown_url(&service.base_url);
        }
        shown.notices = self.notices.without_credentials();
        shown.store = shown_url(&self.store);
        shown
    }
}

impl fmt::Debug for RuntimeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeConfig")
            .field("store", &shown_url(&self.store))
            .field("model", &self.model)
            .field("providers", &self.providers)
            .field("accounts", &self.accounts)
            .field("notices", &self.notices)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Openai(server) => server.fmt(f),
            Self::Local(local) => local.fmt(f),
            Self::Example(example) => example.fmt(f),
        }
    }
}

impl fmt::Debug for OpenAiCompatibleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = self.base_url.as_deref().map(shown_url);
        f.debug_struct("OpenAiCompatibleConfig")
            .field("base_url", &base_url)
            .field("api_key_env", &self.api_key_env)
            .field("model", &self.model)
            .field("context_window", &self.context_window)
            .field("first_byte_ms", &self.first_byte_ms)
            .field("service_tier", &self.service_tier)
            .field("cost_in_usd", &self.cost_in_usd)
            .field("models", &self.models)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_shown_without_what_a_url_hides() {
        let text = r#"
            store = "sqlite:chat.db"
            model = "home/llama"

            [aliases]
            fast = "openai/gpt-4o-mini"

            [providers.home]
            kind = "openai"
            base_url = "http://ada:hunter2@localhost:8080/v1?key=hunter3"

            [accounts]
            kind = "limited"
            opening_usd = "10.00"

            [turns]
            lease_ms = 500
        "#;
        let config = RuntimeConfig::from_toml(text).expect("valid");
        let shown = config.to_toml().expect("has a form");
        assert!(shown.contains(r#"base_url = "http://localhost:8080/v1""#), "{shown}");
        for text in [shown, format!("{config:?}")] {
            assert!(!text.contains("hunter"), "{text}");
        }
        assert_eq!(config.turns.lease_ms, 500);
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let config = RuntimeConfig::new("memory:").with_openai().with_local().with_example();
        let shown = config.to_toml().expect("has a form");
        assert_eq!(RuntimeConfig::from_toml(&shown).ok(), Some(config));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for (text, key) in [
            ("store = \"memory:\"\nstoer = 1", "stoer"),
            ("store = \"memory:\"\n[turns]\nlease = 1", "lease"),
            ("store = \"memory:\"\n[providers.a]\nkind = \"openai\"\nurl = \"x\"", "url"),
            (
                "store = \"memory:\"\n[accounts]\nkind = \"limited\"\nopening_usd = \"1\"\nextra = 1",
                "extra",
            ),
        ] {
            let refused = RuntimeConfig::from_toml(text).map_err(|error| error.to_string());
            let message = refused.expect_err("refused");
            assert!(message.contains(key) && !message.contains('\n'), "{message}");
        }
    }
}
