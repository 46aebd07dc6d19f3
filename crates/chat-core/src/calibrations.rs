//! What providers report against what we count, per model, for as long as this process lives.
//!
//! Vocabularies that are not public are estimated; the ratio of what is reported makes the estimates
//! good. A new process starts without it and learns it from its first turns: it is no state that
//! anything durable rests on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_tokens::{
    Calibration, TokenCounter, calibrated, count_for_model, error_band, uncalibrated,
};
use chat_types::{ContextReport, ModelInfo, ModelRef, TokenBand, Tokens};

/// Models whose ratio is remembered; a product uses a handful.
const MODELS_MAX: usize = 256;

/// The ratios by model.
#[derive(Debug, Default)]
pub(crate) struct Calibrations {
    models: Mutex<HashMap<ModelRef, Calibration>>,
}

impl Calibrations {
    /// The counter of a model: its vocabulary, its rules for images and files, and what was learned.
    pub(crate) fn counter(
        &self,
        counter: Arc<dyn TokenCounter>,
        info: &ModelInfo,
    ) -> Arc<dyn TokenCounter> {
        let counter = count_for_model(counter, info.model.model.as_str());
        match self.lock().get(&info.model) {
            Some(calibration) => calibrated(counter, calibration),
            None => counter,
        }
    }

    /// How far the total of a prompt can be off.
    pub(crate) fn band(&self, model: &ModelRef, report: &ContextReport) -> TokenBand {
        let models = self.lock();
        let band = error_band(report.input_tokens, report.provenance, models.get(model));
        TokenBand { low: band.low, high: band.high }
    }

    /// Learns from one prompt: what its report counted, and what the provider says it was.
    pub(crate) fn observe(&self, model: &ModelRef, report: &ContextReport, reported: Tokens) {
        let counted = uncalibrated(report.input_tokens, &report.tokenizer);
        let mut models = self.lock();
        if models.len() >= MODELS_MAX && !models.contains_key(model) {
            return;
        }
        models.entry(model.clone()).or_default().observe(counted, reported);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelRef, Calibration>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
