//! Which counter a model gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_types::{ModelInfo, TokenizerId};

use crate::counter::TokenCounter;
use crate::estimate::EstimateCounter;

/// Chooses the counter for a model.
///
/// In this order: the counter registered for the model's tokenizer, the one of its family, the
/// estimate. Every model gets one.
#[derive(Clone, Debug)]
pub struct TokenAccounting {
    counters: BTreeMap<TokenizerId, Arc<dyn TokenCounter>>,
    estimate: Arc<dyn TokenCounter>,
}

impl TokenAccounting {
    /// The counters this crate brings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counters: BTreeMap::new(),
            estimate: Arc::new(EstimateCounter::new()),
        }
    }

    /// Adds a counter under its tokenizer's name; a later one of the same name replaces it.
    #[must_use]
    pub fn with_counter(mut self, counter: Arc<dyn TokenCounter>) -> Self {
        self.counters.insert(counter.tokenizer().clone(), counter);
        self
    }

    /// The counter for `model`; cheap, to be called per turn.
    #[must_use]
    pub fn counter_for(&self, model: &ModelInfo) -> Arc<dyn TokenCounter> {
        let counter = self.counters.get(&model.tokenizer);
        Arc::clone(counter.unwrap_or(&self.estimate))
    }
}

impl Default for TokenAccounting {
    fn default() -> Self {
        Self::new()
    }
}
