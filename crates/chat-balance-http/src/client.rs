//! One call: attempts until there is an answer, the time is over, or the service is left alone.
//!
//! Every attempt of a call carries the same bytes, and the same key if it has one, so that a service that did the
//! work and lost its answer does it once. Dropping a call's future abandons the attempt that is
//! under way; whether it was done is found out by repeating it.
//! Not here: what an answer means (`answer`), what is asked (`adapter`, `maintenance`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chat_balance::Result;
use chat_transport::{
    OpenGate, ProviderHealth, RetryBudgetConfig, RetryRun, RetryTime, Timeouts, TokioRetryTime,
    TransportAdapter, TransportError, TransportErrorKind, TransportRequest, with_retry,
};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::{Answer, Reader};
use crate::config::HttpLedgerConfig;
use crate::error::{InvalidHttpLedgerConfig, nonsense, unanswered};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends calls to one service.
pub(crate) struct Client {
    config: HttpLedgerConfig,
    base: String,
    headers: HeaderMap,
    transport: Arc<dyn TransportAdapter>,
    health: ProviderHealth,
    time: TokioRetryTime,
}

impl Client {
    pub(crate) fn new(
        config: HttpLedgerConfig,
        transport: Arc<dyn TransportAdapter>,
    ) -> Result<Self, InvalidHttpLedgerConfig> {
        config.check()?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", config.secret.expose_secret()))
            .map_err(|_| InvalidHttpLedgerConfig { key: "secret", rule: "it cannot be sent" })?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, JSON)]);
        let seed = config.jitter_seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(Self {
            base: config.base_url.trim_end_matches('/').to_owned(),
            health: ProviderHealth::new(config.breaker.clone(), RetryBudgetConfig::default()),
            time: TokioRetryTime::new(seed),
            config,
            headers,
            transport,
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<T> {
        let request = self.request(Method::GET, path, self.headers.clone(), Bytes::new());
        self.call(operation, request).await
    }

    /// A write: `key` names it, whatever happens to its answer.
    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        (method, path): (Method, &str),
        key: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        let key = HeaderValue::try_from(key)
            .map_err(|error| nonsense(operation, "the key is no header").with_source(error))?;
        let mut headers = self.headers.clone();
        headers.insert(IDEMPOTENCY_KEY, key);
        self.send(operation, (method, path), headers, body).await
    }

    /// A write that needs no key: it does what is due by then, and nothing a second time.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        self.send(operation, (Method::POST, path), self.headers.clone(), body).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        (method, path): (Method, &str),
        mut headers: HeaderMap,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        let body = serde_json::to_vec(body)
            .map_err(|error| nonsense(operation, "the request has no JSON").with_source(error))?;
        headers.insert(CONTENT_TYPE, JSON);
        self.call(operation, self.request(method, path, headers, body.into())).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> TransportRequest {
        let url = format!("{}{path}", self.base);
        TransportRequest { method, headers, ..TransportRequest::post(url, body) }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: TransportRequest,
    ) -> Result<T> {
        let deadline_ms = self.time.now_ms().saturating_add(self.config.whole_ms);
        let run = RetryRun {
            policy: &self.config.retry,
            gate: &OpenGate,
            time: &self.time,
            health: Some(&self.health),
            deadline_ms: Some(deadline_ms),
        };
        let answer = with_retry(&run, |_| self.attempt(request.clone(), deadline_ms))
            .await
            .map_err(|error| unanswered(operation, self.config.host(), error))?;
        let reader = Reader {
            operation,
            host: self.config.host(),
            secret: &self.config.secret,
            secret_name: &self.config.secret_name,
        };
        reader.read(&answer)
    }

    async fn attempt(
        &self,
        mut request: TransportRequest,
        deadline_ms: u64,
    ) -> Result<Answer, TransportError> {
        let left_ms = deadline_ms.saturating_sub(self.time.now_ms());
        request.timeouts = Timeouts {
            connect_ms: self.config.connect_ms,
            first_byte_ms: self.config.answer_ms,
            idle_ms: self.config.answer_ms,
            progress_ms: self.config.answer_ms,
            total_ms: left_ms,
        };
        let response = self.transport.send(request).await?;
        if is_worth_another_attempt(response.status) {
            return Err(response.into_error(TransportErrorKind::Status).await);
        }
        let status = response.status;
        let content_type = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let content_type = content_type.and_then(|kind| kind.split(';').next());
        let content_type = content_type.unwrap_or_default().trim().to_owned();
        let body = response.read_full(self.config.answer_bytes_max).await?;
        Ok(Answer { status, content_type, body })
    }
}

/// Statuses that say nothing of the ledger: the service, or what stands before it, is in trouble.
/// A 409 is an answer here, and so is 501, which will not change.
fn is_worth_another_attempt(status: StatusCode) -> bool {
    let is_trouble = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    is_trouble || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("config", &self.config)
            .field("breaker", &self.health.breaker_state())
            .finish_non_exhaustive()
    }
}
