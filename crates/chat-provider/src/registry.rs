//! Which providers there are, which one a model's name means, and who stands in for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_types::{ModelId, ModelInfo, ModelRef, ProviderId};

use crate::ModelProvider;

/// A name that no provider serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown model {name}: {hint}")]
pub struct UnknownModel {
    /// What was asked for.
    pub name: String,
    /// What could have been meant.
    pub hint: String,
}

/// Providers by id, and aliases for models.
#[derive(Clone, Debug, Default)]
pub struct ProviderRegistry {
    providers: BTreeMap<ProviderId, Arc<dyn ModelProvider>>,
    aliases: BTreeMap<String, ModelRef>,
    default: Option<ModelRef>,
    fallbacks: BTreeMap<ModelRef, Vec<ModelRef>>,
}

impl ProviderRegistry {
    /// No providers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider; the first one's own model is the default. The same id again replaces it.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn ModelProvider>) -> Self {
        if self.default.is_none() {
            self.default = Some(ModelRef::new(provider.id().clone(), provider.model_id().clone()));
        }
        self.providers.insert(provider.id().clone(), provider);
        self
    }

    /// Lets `alias` mean `model`.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>, model: ModelRef) -> Self {
        self.aliases.insert(alias.into(), model);
        self
    }

    /// Makes `model` the default.
    #[must_use]
    pub fn with_default(mut self, model: ModelRef) -> Self {
        self.default = Some(model);
        self
    }

    /// Lets these stand in for `model`, in order, when it cannot answer; the same model again
    /// replaces its list. A stand-in's own list is not used: a turn ends.
    #[must_use]
    pub fn with_fallbacks(mut self, model: ModelRef, stand_ins: Vec<ModelRef>) -> Self {
        self.fallbacks.insert(model, stand_ins);
        self
    }

    /// Which models stand in for `model`, in order.
    #[must_use]
    pub fn fallbacks(&self, model: &ModelRef) -> Vec<ModelRef> {
        self.fallbacks.get(model).cloned().unwrap_or_default()
    }

    /// The model used when nobody chose one.
    #[must_use]
    pub fn default_model(&self) -> Option<&ModelRef> {
        self.default.as_ref()
    }

    /// All providers, by id.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn ModelProvider>> {
        self.providers.values()
    }

    /// The models that all providers know of.
    #[must_use]
    pub fn models(&self) -> Vec<ModelInfo> {
        self.providers.values().flat_map(|provider| provider.models()).collect()
    }

    /// What `name` means: an alias, `provider/model`, or a model that one provider lists.
    ///
    /// # Errors
    /// `UnknownModel` with a hint.
    pub fn resolve(&self, name: &str) -> Result<ModelRef, UnknownModel> {
        if let Some(model) = self.aliases.get(name) {
            return Ok(model.clone());
        }
        if let Ok(model) = name.parse::<ModelRef>()
            && self.providers.contains_key(&model.provider)
        {
            return self.find(&model).map(|_| model);
        }
        let wanted = ModelId::new(name).map_err(|error| self.unknown(name, error.to_string()))?;
        let mut serving = self
            .providers
            .values()
            .filter(|provider| provider.models().iter().any(|info| info.model.model == wanted));
        match (serving.next(), serving.next()) {
            (Some(provider), None) => Ok(ModelRef::new(provider.id().clone(), wanted)),
            (Some(_), Some(_)) => {
                Err(self
                    .unknown(name, "several providers serve it: write provider/model".to_owned()))
            }
            (None, _) => {
                let ids: Vec<&str> = self.providers.keys().map(ProviderId::as_str).collect();
                Err(self
                    .unknown(name, format!("write provider/model; providers: {}", ids.join(", "))))
            }
        }
    }

    /// The provider of a model and what the model can do.
    ///
    /// # Errors
    /// `UnknownModel` if the provider is not there or does not serve it.
    pub fn find(
        &self,
        model: &ModelRef,
    ) -> Result<(Arc<dyn ModelProvider>, ModelInfo), UnknownModel> {
        let provider = self.providers.get(&model.provider).ok_or_else(|| {
            let ids: Vec<&str> = self.providers.keys().map(ProviderId::as_str).collect();
            self.unknown(
                &model.to_string(),
                format!("there is no such provider; providers: {}", ids.join(", ")),
            )
        })?;
        let info = provider.model_info(&model.model).ok_or_else(|| {
            let known: Vec<String> = provider
                .models()
                .into_iter()
                .take(8)
                .map(|info| info.model.model.to_string())
                .collect();
            self.unknown(&model.to_string(), format!("the provider knows {}", known.join(", ")))
        })?;
        Ok((Arc::clone(provider), info))
    }

    fn unknown(&self, name: &str, hint: String) -> UnknownModel {
        UnknownModel { name: name.chars().take(120).collect(), hint }
    }
}
