//! Which counter a model gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_types::{ModelInfo, TokenizerId};

use crate::counter::TokenCounter;
use crate::encoding::OpenAiEncoding;
use crate::estimate::EstimateCounter;
use crate::family::{EstimateFamily, FamilyEstimate};
use crate::for_model::count_for_model;
use crate::openai::OpenAiCounter;

/// Chooses the counter for a model. Every model gets one.
///
/// In this order: the counter registered for the tokenizer that the model's description names
/// (OpenAI's encodings are registered from the start), the family whose prefix the model's name
/// has, OpenAI's own list of model names, the estimate of a vendor's family
/// ([`EstimateFamily`]), the general estimate. Images and files count by the model's own rules
/// ([`MediaRules`](crate::MediaRules)).
///
/// Counts are stored under the tokenizer of the counter that made them, so an estimate made
/// before the right counter was registered is never taken for the real count.
#[derive(Clone, Debug)]
pub struct TokenAccounting {
    counters: BTreeMap<TokenizerId, Arc<dyn TokenCounter>>,
    /// Prefix of a model's name to tokenizer; the longest one wins.
    families: BTreeMap<String, TokenizerId>,
    estimate: Arc<dyn TokenCounter>,
}

impl TokenAccounting {
    /// The counters this crate brings: OpenAI's encodings and the estimate. Builds no vocabulary.
    #[must_use]
    pub fn new() -> Self {
        let estimate: Arc<dyn TokenCounter> = Arc::new(EstimateCounter::new());
        let mut accounting = Self {
            counters: BTreeMap::new(),
            families: BTreeMap::new(),
            estimate: Arc::clone(&estimate),
        }
        .with_counter(estimate);
        for encoding in OpenAiEncoding::ALL {
            accounting = accounting.with_counter(Arc::new(OpenAiCounter::new(encoding)));
        }
        for family in EstimateFamily::ALL {
            accounting = accounting.with_counter(Arc::new(FamilyEstimate::new(family)));
        }
        accounting
    }

    /// Adds a counter under its tokenizer's name; a later one of the same name replaces it.
    #[must_use]
    pub fn with_counter(mut self, counter: Arc<dyn TokenCounter>) -> Self {
        self.counters.insert(counter.tokenizer().clone(), counter);
        self
    }

    /// Counts models whose name starts with `model_prefix` in `tokenizer`'s vocabulary.
    ///
    /// Without a counter registered for `tokenizer` the family has no effect.
    #[must_use]
    pub fn with_family(mut self, model_prefix: impl Into<String>, tokenizer: TokenizerId) -> Self {
        self.families.insert(model_prefix.into(), tokenizer);
        self
    }

    /// The counter for `model`; cheap, to be called per turn.
    #[must_use]
    pub fn counter_for(&self, model: &ModelInfo) -> Arc<dyn TokenCounter> {
        let name = model.model.model.as_str();
        let counter = self
            .counters
            .get(&model.tokenizer)
            .or_else(|| self.counters.get(self.family_of(name)?))
            .or_else(|| {
                let encoding = OpenAiEncoding::of_model(name)?;
                self.counters.get(&encoding.tokenizer())
            })
            .or_else(|| self.counters.get(&EstimateFamily::of_model(name)?.tokenizer()))
            .unwrap_or(&self.estimate);
        count_for_model(Arc::clone(counter), name)
    }

    fn family_of(&self, model: &str) -> Option<&TokenizerId> {
        self.families
            .iter()
            .filter(|(prefix, _)| model.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, tokenizer)| tokenizer)
    }
}

impl Default for TokenAccounting {
    fn default() -> Self {
        Self::new()
    }
}
