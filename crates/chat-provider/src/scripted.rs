//! A provider that plays a script: for tests, examples and fault injection.
//!
//! Replies are played in order, the last one for ever. Every request is kept for assertions.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chat_tokens::{EstimateCounter, TokenCounter};
use chat_types::{
    CacheStyle, FinishReason, Modalities, ModelId, ModelInfo, ModelRef, ProviderId, SystemRole,
    Tokens, Usage,
};
use futures::stream;

use crate::{
    CallPermit, CompletionStream, Exposure, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind, ProviderEvent,
};

/// One move of a scripted reply.
#[derive(Clone, Debug)]
pub enum ScriptedStep {
    /// Say this, all in one read.
    Say(Vec<ProviderEvent>),
    /// Wait, in the runtime's time.
    Wait {
        /// How long.
        ms: u64,
    },
    /// Break off with an error.
    Fail {
        /// Which kind.
        kind: ProviderErrorKind,
        /// What may have been consumed, if nothing was said before.
        exposure: Exposure,
    },
    /// End without saying that it is finished.
    Cut,
    /// Say nothing more until it is dropped.
    Hang,
    /// Pass the gate for another attempt; only before anything was said. A refusal ends the call
    /// with what the attempt before may have consumed.
    Attempt {
        /// Its number.
        attempt: u32,
        /// What the one before may have consumed.
        previous: Exposure,
    },
}

/// One reply.
#[derive(Clone, Debug, Default)]
pub struct ScriptedReply {
    steps: Vec<ScriptedStep>,
}

impl ScriptedReply {
    /// A reply of these moves.
    #[must_use]
    pub fn new(steps: Vec<ScriptedStep>) -> Self {
        Self { steps }
    }

    /// A whole reply: `pieces` one read each, then usage and the finish.
    #[must_use]
    pub fn text(pieces: &[&str]) -> Self {
        let output = Tokens::from_len(pieces.len());
        let mut steps: Vec<ScriptedStep> = pieces
            .iter()
            .map(|piece| ScriptedStep::Say(vec![ProviderEvent::Text((*piece).to_owned())]))
            .collect();
        let usage = Usage { input_uncached: Tokens::new(10), output, ..Usage::default() };
        steps.push(ScriptedStep::Say(vec![
            ProviderEvent::Finished(FinishReason::Stop),
            ProviderEvent::Usage(usage),
        ]));
        Self { steps }
    }

    /// A failure before anything was said.
    #[must_use]
    pub fn failure(kind: ProviderErrorKind, exposure: Exposure) -> Self {
        Self { steps: vec![ScriptedStep::Fail { kind, exposure }] }
    }
}

/// One call it was asked to make.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedCall {
    /// The request as it was prepared.
    pub request: ModelRequest,
    /// The cap of its permit.
    pub output_cap: Tokens,
}

/// Makes a reply of the request.
type Answer = Arc<dyn Fn(&ModelRequest) -> ScriptedReply + Send + Sync>;

#[derive(Debug, Default)]
struct State {
    script: VecDeque<ScriptedReply>,
    prepared: VecDeque<ModelRequest>,
    calls: Vec<ScriptedCall>,
    under_way: usize,
}

/// A call that is not over; uncounted also when it is dropped.
struct UnderWay(Arc<Mutex<State>>);

impl UnderWay {
    fn new(state: &Arc<Mutex<State>>) -> Self {
        let mut counted = state.lock().unwrap_or_else(PoisonError::into_inner);
        counted.under_way = counted.under_way.saturating_add(1);
        Self(Arc::clone(state))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.under_way = counted.under_way.saturating_sub(1);
    }
}

/// Prepared requests are matched to calls by their body; this many may be in between.
const PREPARED_MAX: usize = 1_024;

/// The scripted provider; a clone plays the same script.
#[derive(Clone)]
pub struct ScriptedProvider {
    id: ProviderId,
    info: ModelInfo,
    tier: Option<String>,
    answer: Option<Answer>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for ScriptedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedProvider").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ScriptedProvider {
    /// Plays `script` under the provider id `scripted`, with one model `scripted-1` of an 8,192
    /// token window.
    ///
    /// # Errors
    /// Never: the names are valid; the type leaves it to the caller not to unwrap.
    pub fn new(
        script: Vec<ScriptedReply>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let id = ProviderId::new("scripted")?;
        let info = ModelInfo {
            model: ModelRef::new(id.clone(), ModelId::new("scripted-1")?),
            context_window: Tokens::new(8_192),
            output_max: Tokens::new(2_048),
            modalities: Modalities::default(),
            system_role: SystemRole::Native,
            tools: true,
            cache: CacheStyle::None,
            prefill: true,
            tokenizer: EstimateCounter::default().tokenizer().clone(),
        };
        let state = State { script: script.into(), ..State::default() };
        Ok(Self { id, info, tier: None, answer: None, state: Arc::new(Mutex::new(state)) })
    }

    /// The same, but every reply is made of its request and the script is not played.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&ModelRequest) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        self.answer = Some(Arc::new(answer));
        self
    }

    /// The same with another window.
    #[must_use]
    pub fn with_window(mut self, context_window: Tokens) -> Self {
        self.info.context_window = context_window;
        self
    }

    /// The same without going on from a trailing assistant message.
    #[must_use]
    pub fn without_prefill(mut self) -> Self {
        self.info.prefill = false;
        self
    }

    /// The same, asking for a service tier with every request.
    #[must_use]
    pub fn with_tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// The same under another provider id.
    #[must_use]
    pub fn with_id(mut self, id: ProviderId) -> Self {
        self.info.model.provider = id.clone();
        self.id = id;
        self
    }

    /// Calls that are neither over nor dropped.
    #[must_use]
    pub fn calls_under_way(&self) -> usize {
        self.lock().under_way
    }

    /// Every call made so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ScriptedCall> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request that `prepared` was made of.
    fn take_prepared(&self, prepared: &Prepared) -> Option<ModelRequest> {
        let mut state = self.lock();
        let matching = state.prepared.iter().position(|request| {
            serde_json::to_vec(&request.prompt).is_ok_and(|body| body == prepared.body)
        });
        matching.and_then(|at| state.prepared.remove(at))
    }

    fn next_reply(&self, request: Option<&ModelRequest>) -> ScriptedReply {
        if let (Some(answer), Some(request)) = (&self.answer, request) {
            return answer(request);
        }
        let mut state = self.lock();
        if state.script.len() > 1 {
            state.script.pop_front().unwrap_or_default()
        } else {
            state.script.front().cloned().unwrap_or_default()
        }
    }
}

#[async_trait]
impl ModelProvider for ScriptedProvider {
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

    fn counter(&self, _model: &ModelInfo) -> Arc<dyn TokenCounter> {
        Arc::new(EstimateCounter::default())
    }

    fn prepare(&self, request: &ModelRequest) -> Result<Prepared, ProviderError> {
        let body = serde_json::to_vec(&request.prompt).map_err(|error| {
            ProviderError::new(ProviderErrorKind::InvalidRequest, "the prompt has no JSON form")
                .with_source(error)
        })?;
        let mut state = self.lock();
        if state.prepared.len() >= PREPARED_MAX {
            state.prepared.pop_front();
        }
        state.prepared.push_back(request.clone());
        Ok(Prepared::new(request, body).with_tier(self.tier.clone()))
    }

    async fn send_completion(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        permit.admit(1, None).await?;
        let output_cap = permit.output_cap();
        let request = self.take_prepared(prepared);
        let mut steps = VecDeque::from(self.next_reply(request.as_ref()).steps);
        self.lock().calls.extend(request.map(|request| ScriptedCall { request, output_cap }));
        let under_way = UnderWay::new(&self.state);
        while let Some(ScriptedStep::Attempt { attempt, previous }) = steps.front() {
            permit
                .admit(*attempt, Some(*previous))
                .await
                .map_err(|refused| ProviderError::from(refused).with_exposure(*previous))?;
            steps.pop_front();
        }
        match steps.front() {
            Some(ScriptedStep::Fail { kind, exposure }) => {
                let error = ProviderError::new(*kind, "the script fails here");
                return Err(error.with_exposure(*exposure));
            }
            Some(ScriptedStep::Hang) => std::future::pending().await,
            _ => {}
        }
        Ok(Box::pin(stream::unfold((steps, under_way), |(mut steps, under_way)| async move {
            loop {
                match steps.pop_front()? {
                    ScriptedStep::Say(events) => return Some((Ok(events), (steps, under_way))),
                    ScriptedStep::Hang => std::future::pending().await,
                    ScriptedStep::Attempt { .. } => {}
                    ScriptedStep::Wait { ms } => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                    }
                    ScriptedStep::Fail { kind, exposure } => {
                        let error = ProviderError::new(kind, "the script fails here")
                            .with_exposure(exposure);
                        return Some((Err(error), (VecDeque::new(), under_way)));
                    }
                    ScriptedStep::Cut => return None,
                }
            }
        })))
    }
}
