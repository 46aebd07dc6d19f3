//! The embedded model behind the provider port.
//!
//! Promises: constructing checks that the weights are there and loads nothing; `warm_up` or the
//! first call loads them, once. A call waits for its turn before its attempt is journaled, so a
//! crash while waiting owes nothing. Deltas come as tokens are made; what piled up while the reader
//! was busy comes as one. Dropping the stream stops the work. Usage is exact.
//! Not here: the engine (`engine`), the translation (`wire`), the price (an explicit 0 in the price
//! book).

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chat_provider::{
    CallPermit, CompletionStream, Exposure, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind, ProviderEvent,
};
use chat_tokens::{EstimateCounter, TokenCounter};
use chat_types::{
    CacheStyle, FinishReason, Modalities, ModelId, ModelInfo, ModelRef, ProviderId, StepKey,
    SystemRole, Tokens, Usage,
};
use futures::{FutureExt, StreamExt, stream};

use crate::counter::{LOCAL_TOKENIZER, LocalCounter};
use crate::engine::{
    GenerateOptions, Generating, GenerationEvent, GenerationSummary, LocalEngine, WINDOW_TOKENS,
    WINDOW_TOKENS_LEN,
};
use crate::error::{LocalError, LocalErrorKind};
use crate::sampler::Sampling;
use crate::stop::StopFilter;
use crate::weights::find_weights;
use crate::wire::LocalRequest;

/// The provider's id.
pub const LOCAL_PROVIDER: &str = "local";

/// The model's name.
pub const LOCAL_MODEL: &str = "smollm2-135m-instruct";

/// A quarter of the window: a model of this size has long lost the thread by then.
const OUTPUT_TOKENS_MAX: u64 = 2_048;

/// The embedded model as a [`ModelProvider`]. Clones share one engine.
#[derive(Debug, Clone)]
pub struct LocalProvider {
    id: ProviderId,
    info: ModelInfo,
    engine: LocalEngine,
}

impl LocalProvider {
    /// Finds the weights as [`find_weights`] does and keeps them for the first use.
    ///
    /// `on_progress(done_bytes, total_bytes)` is called during the load, from the loading thread.
    ///
    /// # Errors
    /// As [`find_weights`].
    pub fn open(
        weights: Option<&Path>,
        on_progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Self, LocalError> {
        let weights = find_weights(weights)?;
        Self::new(LocalEngine::open_with_progress(weights, on_progress)?)
    }

    /// Serves `engine`.
    ///
    /// # Errors
    /// None in practice: the names of provider and model are valid.
    pub fn new(engine: LocalEngine) -> Result<Self, LocalError> {
        let id = ProviderId::new(LOCAL_PROVIDER)
            .map_err(|error| LocalError::inference("provider id").with_source(error))?;
        let model = ModelId::new(LOCAL_MODEL)
            .map_err(|error| LocalError::inference("model name").with_source(error))?;
        let info = ModelInfo {
            model: ModelRef::new(id.clone(), model),
            context_window: Tokens::new(u64::from(WINDOW_TOKENS)),
            output_max: Tokens::new(OUTPUT_TOKENS_MAX),
            modalities: Modalities::default(),
            system_role: SystemRole::Native,
            tools: false,
            cache: CacheStyle::None,
            prefill: true,
            tokenizer: LOCAL_TOKENIZER,
        };
        Ok(Self { id, info, engine })
    }

    /// The engine underneath.
    #[must_use]
    pub fn engine(&self) -> &LocalEngine {
        &self.engine
    }
}

#[async_trait]
impl ModelProvider for LocalProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn model_id(&self) -> &ModelId {
        &self.info.model.model
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.info.clone()]
    }

    fn model_info(&self, model: &ModelId) -> Option<ModelInfo> {
        (*model == self.info.model.model).then(|| self.info.clone())
    }

    async fn warm_up(&self) -> Result<(), ProviderError> {
        Ok(self.engine.load().await?)
    }

    /// Exact; an estimate if the weights cannot be read, which `warm_up` would have told.
    fn counter(&self, _model: &ModelInfo) -> Arc<dyn TokenCounter> {
        match self.engine.tokenizer() {
            Ok(tokenizer) => Arc::new(LocalCounter::new(tokenizer)),
            Err(_) => Arc::new(EstimateCounter::new()),
        }
    }

    fn prepare(&self, request: &ModelRequest) -> Result<Prepared, ProviderError> {
        if request.model != self.info.model.model {
            return Err(ProviderError::new(
                ProviderErrorKind::UnknownModel,
                format!("the embedded model is {LOCAL_MODEL}"),
            ));
        }
        let local = LocalRequest::from_request(request)?;
        let body = serde_json::to_vec(&local).map_err(|error| {
            ProviderError::new(ProviderErrorKind::InvalidRequest, "the prompt has no JSON form")
                .with_source(error)
        })?;
        let mut prepared = Prepared::new(request, body);
        let exact = self.engine.tokenizer().and_then(|tokenizer| {
            // What cannot fit the window anyway is not worth the time.
            let is_countable = tokenizer.count_chat_at_least(&local.lines) < WINDOW_TOKENS_LEN;
            is_countable.then(|| tokenizer.count_chat(&local.lines)).transpose()
        });
        if let Ok(Some(input_tokens)) = exact {
            prepared.input_bound = Tokens::new(input_tokens);
            prepared.input_estimate = Tokens::new(input_tokens);
        } else {
            // The count may be a guess. The body's frame is longer than the template's, so nothing
            // that is fed has more tokens than the body has bytes.
            let bytes = Tokens::from_len(prepared.body.len());
            prepared.input_bound = prepared.input_bound.max(bytes);
        }
        Ok(prepared)
    }

    async fn send_completion(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        let request: LocalRequest = serde_json::from_slice(&prepared.body).map_err(|error| {
            ProviderError::new(ProviderErrorKind::InvalidRequest, "the body is not of this dialect")
                .with_source(error)
        })?;
        let options = GenerateOptions {
            output_tokens_max: u32::try_from(permit.output_cap().get()).unwrap_or(u32::MAX),
            sampling: sampling(&request, &permit.grant().terms().key),
        };
        let reservation = self.engine.reserve().await?;
        permit.admit(1, None).await?;
        let mut answer = Answer {
            generating: reservation.start(request.lines, options),
            stops: StopFilter::new(request.stop),
            is_stopped: false,
            is_whole: !prepared.stream,
        };
        let mut first = vec![ProviderEvent::Started { request_id: None }];
        let (events, rest) = answer.read().await?;
        first.extend(events);
        let answer = rest.then_some(answer);
        let rest = stream::unfold(answer, |answer| async {
            let mut answer = answer?;
            match answer.read().await {
                Ok((events, true)) => Some((Ok(events), Some(answer))),
                Ok((events, false)) => Some((Ok(events), None)),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(stream::iter([Ok(first)]).chain(rest)))
    }
}

/// An answer on its way from the engine into the port's words.
struct Answer {
    generating: Generating,
    stops: StopFilter,
    /// A stop text was reached; what the engine still says is counted and not shown.
    is_stopped: bool,
    /// Everything in one read.
    is_whole: bool,
}

impl Answer {
    /// Waits for something to say, then takes what else is there already. The flag tells whether
    /// more will follow.
    async fn read(&mut self) -> Result<(Vec<ProviderEvent>, bool), ProviderError> {
        let mut shown = String::new();
        loop {
            // Nothing is shown yet: wait. Otherwise take only what is ready.
            let next = if shown.is_empty() || self.is_whole {
                self.generating.next().await
            } else {
                match self.generating.next().now_or_never() {
                    Some(next) => next,
                    None => return Ok((vec![ProviderEvent::Text(shown)], true)),
                }
            };
            match next {
                Some(Ok(GenerationEvent::Token { text, .. })) if !self.is_stopped => {
                    let (text, is_stopped) = self.stops.push(&text);
                    shown.push_str(&text);
                    if is_stopped {
                        self.is_stopped = true;
                        self.generating.cancel();
                    }
                }
                Some(Ok(GenerationEvent::Token { .. })) => {}
                Some(Ok(GenerationEvent::Finished(summary))) => {
                    if !self.is_stopped {
                        shown.push_str(&self.stops.rest());
                    }
                    return Ok((self.last_events(shown, summary), false));
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(LocalError::inference("it ended twice").into()),
            }
        }
    }

    fn last_events(&self, shown: String, summary: GenerationSummary) -> Vec<ProviderEvent> {
        let finish_reason =
            if self.is_stopped { FinishReason::Stop } else { summary.finish_reason };
        let usage = Usage {
            input_uncached: Tokens::new(summary.input_tokens),
            output: Tokens::new(summary.output_tokens),
            ..Usage::default()
        };
        let text = Some(shown).filter(|text| !text.is_empty()).map(ProviderEvent::Text);
        let end = [ProviderEvent::Finished(finish_reason), ProviderEvent::Usage(usage)];
        text.into_iter().chain(end).collect()
    }
}

/// Greedy unless a temperature is asked for.
fn sampling(request: &LocalRequest, key: &StepKey) -> Sampling {
    match request.temperature {
        Some(temperature) if temperature > 0.0 => Sampling::Random {
            temperature: narrowed(temperature),
            top_p: request.top_p.map(narrowed),
            seed: request.seed.unwrap_or_else(|| seed_of(key)),
        },
        Some(_) | None => Sampling::Greedy,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sampling options are checked small numbers; their last digits do not matter"
)]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// A seed that differs from step to step and needs no source of randomness (FNV-1a).
fn seed_of(key: &StepKey) -> u64 {
    let bytes = key.turn.as_str().bytes().chain(key.step.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl From<LocalError> for ProviderError {
    fn from(error: LocalError) -> Self {
        let (kind, exposure) = match error.kind() {
            LocalErrorKind::WeightsMissing
            | LocalErrorKind::WeightsUnreadable
            | LocalErrorKind::WeightsInvalid => (ProviderErrorKind::NotReady, Exposure::None),
            LocalErrorKind::PromptTooLong => (ProviderErrorKind::ContextTooLong, Exposure::None),
            LocalErrorKind::Busy => (ProviderErrorKind::Unavailable, Exposure::None),
            LocalErrorKind::Inference => (ProviderErrorKind::Protocol, Exposure::Unknown),
        };
        let wrapped = Self::new(kind, error.to_string()).with_exposure(exposure);
        match error.into_source() {
            Some(source) => wrapped.with_source(source),
            None => wrapped,
        }
    }
}
