//! The port, for every server that speaks Chat Completions.
//!
//! Promises: the key is in the request's header and nowhere else; the cap on the wire is the
//! permit's; every attempt passes the permit's gate first; nothing is sent again after the first
//! delta. Not here: what is sent (`request`), how a call is made (`call`), what came back (`decode`).

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use chat_provider::{
    CallPermit, CompletionStream, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind,
};
use chat_tokens::{EstimateCounter, OpenAiCounter, OpenAiEncoding, TokenCounter};
use chat_transport::{Failure, ProviderHealth, RetryTime, TokioRetryTime, TransportAdapter};
use chat_types::{ModelId, ModelInfo, ModelRef, ProviderId, Tokens};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Uri};
use secrecy::ExposeSecret;

use crate::config::OpenAiConfig;
use crate::error::Server;
use crate::models::{instructions, model_info, models};
use crate::request::{body, media_bytes};

/// How we call ourselves.
const USER_AGENT_VALUE: &str = concat!("chat-runtime/", env!("CARGO_PKG_VERSION"));

/// A server that speaks Chat Completions, as a [`ModelProvider`]. Clones share its breaker.
#[derive(Clone)]
pub struct OpenAiProvider {
    pub(crate) shared: Arc<Shared>,
}

/// What all calls to one server share.
pub(crate) struct Shared {
    pub(crate) config: OpenAiConfig,
    pub(crate) server: Server,
    /// Those of every request, the key included.
    pub(crate) headers: HeaderMap,
    pub(crate) transport: Arc<dyn TransportAdapter>,
    pub(crate) health: ProviderHealth,
    pub(crate) time: Arc<dyn RetryTime>,
}

impl OpenAiProvider {
    /// Serves `config` through `transport`; calls nobody.
    ///
    /// # Errors
    /// `NotReady` if the base URL is no address, or the key or a header cannot be sent.
    pub fn new(
        config: OpenAiConfig,
        transport: Arc<dyn TransportAdapter>,
    ) -> Result<Self, ProviderError> {
        let seed = config.jitter_seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8));
        Self::with_time(config, transport, Arc::new(TokioRetryTime::new(seed)))
    }

    /// The same with a clock and a source of chance of the caller's, for tests.
    ///
    /// # Errors
    /// As for [`OpenAiProvider::new`].
    pub fn with_time(
        config: OpenAiConfig,
        transport: Arc<dyn TransportAdapter>,
        time: Arc<dyn RetryTime>,
    ) -> Result<Self, ProviderError> {
        check_base_url(&config.base_url)?;
        let server = Server {
            host: config.host().to_owned(),
            key_name: config.key_name.clone(),
            has_key: config.api_key.is_some(),
        };
        let shared = Shared {
            headers: headers(&config)?,
            server,
            transport,
            health: ProviderHealth::default(),
            time,
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What it was configured with.
    #[must_use]
    pub fn config(&self) -> &OpenAiConfig {
        &self.shared.config
    }
}

impl Shared {
    pub(crate) fn record_failure(&self, failure: &Failure) {
        self.health.record_failure(failure, self.time.now_ms());
    }
}

#[async_trait]
impl ModelProvider for OpenAiProvider {
    fn id(&self) -> &ProviderId {
        &self.shared.config.id
    }

    fn model_id(&self) -> &ModelId {
        &self.shared.config.default_model
    }

    fn models(&self) -> Vec<ModelInfo> {
        models(&self.shared.config)
    }

    fn model_info(&self, model: &ModelId) -> Option<ModelInfo> {
        model_info(&self.shared.config, model)
    }

    /// Builds the default model's vocabulary, off the runtime's own threads.
    async fn warm_up(&self) -> Result<(), ProviderError> {
        let Some(info) = self.model_info(self.model_id()) else {
            return Ok(());
        };
        let counter = self.counter(&info);
        let built = tokio::task::spawn_blocking(move || counter.count_text("warm"));
        built.await.map(|_| ()).map_err(|error| {
            ProviderError::new(ProviderErrorKind::NotReady, "the vocabulary could not be built")
                .with_source(error)
        })
    }

    fn counter(&self, model: &ModelInfo) -> Arc<dyn TokenCounter> {
        match OpenAiEncoding::of_tokenizer(&model.tokenizer) {
            Some(encoding) => Arc::new(OpenAiCounter::new(encoding)),
            None => Arc::new(EstimateCounter::new()),
        }
    }

    fn prepare(&self, request: &ModelRequest) -> Result<Prepared, ProviderError> {
        let config = &self.shared.config;
        let Some(info) = model_info(config, &request.model) else {
            let host = &self.shared.server.host;
            let detail = format!("{host} has no chat model {}", request.model);
            return Err(ProviderError::new(ProviderErrorKind::UnknownModel, detail));
        };
        let model = ModelRef::new(config.id.clone(), request.model.clone());
        let role = instructions(config, &request.model);
        let tier = config.service_tier.as_deref();
        let body = body(request, &model, role, info.cache, tier)?;
        let mut prepared = Prepared::new(request, body).with_tier(config.service_tier.clone());
        if OpenAiEncoding::of_tokenizer(&info.tokenizer).is_none() {
            // Its count is a guess, which dense text exceeds; nothing exceeds its bytes. Files are
            // counted by formulas of their own.
            let text = prepared.body.len().saturating_sub(media_bytes(request));
            let bytes = Tokens::from_len(text);
            prepared.input_bound = prepared.input_bound.max(bytes);
        }
        Ok(prepared)
    }

    async fn send_completion(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        self.call(prepared, permit).await
    }
}

impl fmt::Debug for OpenAiProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenAiProvider")
            .field("config", &self.shared.config)
            .field("transport", &self.shared.transport)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

fn check_base_url(base_url: &str) -> Result<(), ProviderError> {
    let uri = base_url.parse::<Uri>().ok();
    let is_usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if is_usable {
        return Ok(());
    }
    Err(not_ready("base_url is no address: write it like http://127.0.0.1:11434/v1".to_owned()))
}

fn headers(config: &OpenAiConfig) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
    for (name, value) in &config.extra_headers {
        let bad = || not_ready(format!("the extra header {name:?} cannot be sent"));
        let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).map_err(|_| bad())?, value);
    }
    if let Some(key) = &config.api_key {
        let bearer = format!("Bearer {}", key.expose_secret().trim());
        let mut value = HeaderValue::try_from(bearer).map_err(|_| {
            not_ready(format!(
                "the key has characters that cannot be sent: check {}",
                config.key_name
            ))
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn not_ready(detail: String) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotReady, detail)
}
