//! The registry of the providers that a configuration names, among those compiled in.

use std::sync::Arc;

use chat_core::Titles;
use chat_provider::{ModelProvider, ProviderRegistry};

use crate::config::{ProviderConfig, RuntimeConfig};
use crate::extras::Extras;
use crate::{ExampleConfig, LocalConfig, OpenAiCompatibleConfig, RuntimeError};

/// Makes every provider, then resolves aliases, the default model and stand-ins among them.
pub(crate) fn registry(
    config: &RuntimeConfig,
    extras: &Extras,
) -> Result<ProviderRegistry, RuntimeError> {
    let mut registry = ProviderRegistry::new();
    for (name, provider) in &config.providers {
        registry = registry.with(match provider {
            ProviderConfig::Openai(server) => openai(name, server)?,
            ProviderConfig::Local(local) => embedded(name, local, extras)?,
            ProviderConfig::Example(example) => echo(name, example)?,
        });
    }
    for provider in &extras.providers {
        registry = registry.with(Arc::clone(provider));
    }
    for (alias, model) in &config.aliases {
        let model = registry.resolve(model)?;
        registry = registry.with_alias(alias, model);
    }
    if let Some(model) = &config.model {
        let model = registry.resolve(model)?;
        registry = registry.with_default(model);
    }
    for (model, stand_ins) in &config.fallbacks {
        let model = registry.resolve(model)?;
        let stand_ins = stand_ins.iter().map(|name| registry.resolve(name));
        let stand_ins = stand_ins.collect::<Result<Vec<_>, _>>()?;
        if stand_ins.contains(&model) {
            let detail = format!("fallbacks: {model} cannot stand in for itself");
            return Err(RuntimeError::InvalidConfig { detail });
        }
        registry = registry.with_fallbacks(model, stand_ins);
    }
    Ok(registry)
}

/// Who names new conversations.
pub(crate) fn titles(
    config: &RuntimeConfig,
    registry: &ProviderRegistry,
) -> Result<Option<Titles>, RuntimeError> {
    let Some(titles) = &config.titles else {
        return Ok(None);
    };
    let model = titles.model.as_ref().map(|name| registry.resolve(name)).transpose()?;
    Ok(Some(Titles { model }))
}

#[cfg(any(not(feature = "openai"), not(feature = "local"), not(feature = "example")))]
fn off(name: &str, feature: &'static str) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    Err(RuntimeError::FeatureOff { wanted: format!("the provider `{name}`"), feature })
}

#[cfg(any(feature = "local", feature = "example"))]
fn check_name(name: &str, fixed: &str) -> Result<(), RuntimeError> {
    if name == fixed {
        return Ok(());
    }
    Err(RuntimeError::InvalidConfig {
        detail: format!("providers.{name}: a provider of this kind is named `{fixed}`"),
    })
}

#[cfg(feature = "openai")]
fn openai(
    name: &str,
    server: &OpenAiCompatibleConfig,
) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    use chat_provider_openai::{
        ModelOverride, OPENAI_BASE_URL, OPENAI_KEY_NAME, OpenAiConfig, OpenAiProvider,
    };
    use chat_transport::{HttpTransport, HttpTransportConfig};
    use chat_types::{ModelId, ProviderId, TokenizerId};

    let base_url = server.base_url.as_deref().unwrap_or(OPENAI_BASE_URL);
    if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
        return Err(RuntimeError::InvalidConfig {
            detail: format!("providers.{name}.base_url: it must start with http:// or https://"),
        });
    }
    // OpenAI's key goes to OpenAI, or to what stands in its place; another server gets a key only
    // where one is named.
    let key_name = match (&server.api_key_env, &server.base_url) {
        (Some(name), _) => name.as_str(),
        (None, None) => OPENAI_KEY_NAME,
        (None, Some(_)) if name == "openai" => OPENAI_KEY_NAME,
        (None, Some(_)) => "",
    };
    let model = server.model.as_deref().unwrap_or("gpt-4o-mini");
    let mut openai =
        OpenAiConfig::compatible(ProviderId::new(name)?, base_url, ModelId::new(model)?);
    if key_name.is_empty() {
        openai.key_name = format!("providers.{name}.api_key_env");
    } else {
        openai.api_key = crate::environment::secret(key_name);
        openai.key_name = key_name.to_owned();
    }
    if let Some(window) = server.context_window {
        openai.default_window = window;
    }
    if let Some(first_byte_ms) = server.first_byte_ms {
        openai.timeouts.first_byte_ms = first_byte_ms;
    }
    openai.service_tier.clone_from(&server.service_tier);
    openai.cost_in_usd = server.cost_in_usd;
    for (model, known) in &server.models {
        let known = ModelOverride {
            context_window: known.context_window,
            output_max: known.output_max,
            tokenizer: known.tokenizer.clone().map(TokenizerId::new),
            modalities: known.modalities,
            cache: known.cache,
            ..ModelOverride::default()
        };
        openai.models.insert(model.clone(), known);
    }
    let transport = HttpTransport::new(HttpTransportConfig::default());
    Ok(Arc::new(OpenAiProvider::new(openai, Arc::new(transport))?))
}

#[cfg(not(feature = "openai"))]
fn openai(
    name: &str,
    _server: &OpenAiCompatibleConfig,
) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    off(name, "openai")
}

#[cfg(feature = "local")]
fn embedded(
    name: &str,
    local: &LocalConfig,
    extras: &Extras,
) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    check_name(name, chat_provider_local::LOCAL_PROVIDER)?;
    crate::local::provider(local.weights.as_deref(), extras.load_progress.clone())
}

#[cfg(not(feature = "local"))]
fn embedded(
    name: &str,
    _local: &LocalConfig,
    _extras: &Extras,
) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    off(name, "local")
}

#[cfg(feature = "example")]
fn echo(name: &str, example: &ExampleConfig) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    check_name(name, chat_provider_example::EXAMPLE_PROVIDER)?;
    let provider = chat_provider_example::ExampleProvider::new()?;
    Ok(Arc::new(provider.with_delay_ms(example.delay_ms.unwrap_or_default())))
}

#[cfg(not(feature = "example"))]
fn echo(name: &str, _example: &ExampleConfig) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    off(name, "example")
}
