//! The port over HTTP/1.1 and HTTP/2, by reqwest with rustls and ring.
//!
//! No redirects, no cookies, no retries of its own, `TCP_NODELAY`, pooled connections. Content encodings are neither
//! asked for nor decoded: deltas are small, and a decoder is one more place where a stream can be held back or blown
//! up; a reply that is encoded all the same is refused as `Malformed`.
//! Not here: time-outs other than connecting (`timed`), retries (`retry_loop`), events (`sse`).

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::adapter::{BodyStream, TransportAdapter, TransportRequest, TransportResponse};
use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::timed::TimedTransport;

/// How many bytes of a request body are handed to the connection at a time. 64 KiB: small enough that a reset in the
/// middle of a large body is known to be one.
const SEND_BYTES: usize = 64 * 1024;

/// How many connection pools are kept, one per `connect_ms` in use. 4: a process has one or two.
const POOLS_MAX: usize = 4;

/// What an `HttpTransport` needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTransportConfig {
    /// Idle connections kept per host. 32: as many turns as can end at the same moment on a small server.
    pub idle_connections_per_host_max: usize,
    /// How long an idle connection is kept. 60 s: below the usual 75 s and more of servers, so that rarely a
    /// connection is used that the server is just closing.
    pub idle_connection_ms: u64,
    /// The `user-agent` header, where a request brings none.
    pub user_agent: String,
}

impl Default for HttpTransportConfig {
    fn default() -> Self {
        Self {
            idle_connections_per_host_max: 32,
            idle_connection_ms: 60_000,
            user_agent: concat!("chat-transport/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The HTTP implementation of the port. Clones share connections.
///
/// Certificates are checked against the system's roots (`SSL_CERT_FILE` is honoured on Linux); a machine without any
/// can still speak plain `http`, every `https` request fails with `Tls` there. Proxies are not used.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    timed: TimedTransport<Arc<Connections>>,
}

impl HttpTransport {
    /// A transport with no connections yet; nothing is loaded or opened before the first request.
    #[must_use]
    pub fn new(config: HttpTransportConfig) -> Self {
        let connections = Connections { config, pools: Mutex::default() };
        Self { timed: TimedTransport::new(Arc::new(connections)) }
    }
}

impl Default for HttpTransport {
    fn default() -> Self {
        Self::new(HttpTransportConfig::default())
    }
}

#[async_trait]
impl TransportAdapter for HttpTransport {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        self.timed.send(request).await
    }
}

struct Connections {
    config: HttpTransportConfig,
    /// The client of each `connect_ms`, the one used last at the end; reqwest knows no per-request connect time-out.
    pools: Mutex<Vec<(u64, reqwest::Client)>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connections").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Connections {
    fn client(&self, connect_ms: u64) -> Result<reqwest::Client, TransportError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) =
            pools.iter().position(|(pool_connect_ms, _)| *pool_connect_ms == connect_ms)
        {
            let pool = pools.remove(at);
            let client = pool.1.clone();
            pools.push(pool);
            return Ok(client);
        }
        let client = build_client(&self.config, connect_ms)?;
        if pools.len() >= POOLS_MAX {
            pools.remove(0);
        }
        pools.push((connect_ms, client.clone()));
        Ok(client)
    }
}

fn build_client(
    config: &HttpTransportConfig,
    connect_ms: u64,
) -> Result<reqwest::Client, TransportError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config()?)
        .user_agent(config.user_agent.as_str())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(connect_ms))
        .pool_max_idle_per_host(config.idle_connections_per_host_max)
        .pool_idle_timeout(Duration::from_millis(config.idle_connection_ms))
        .build()
        .map_err(|error| invalid_request(error.without_url()))
}

/// TLS with ring, named here so that no process-wide default has to be installed.
fn tls_config() -> Result<rustls::ClientConfig, TransportError> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(tls_failure)?;
    let mut config = match versions.clone().with_platform_verifier() {
        Ok(verified) => verified.with_no_client_auth(),
        Err(_) => {
            versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn invalid_request(source: impl Error + Send + Sync + 'static) -> TransportError {
    let kind = TransportErrorKind::InvalidRequest;
    TransportError::new(kind, TransportPhase::NothingSent).with_source(source)
}

fn tls_failure(source: rustls::Error) -> TransportError {
    let kind = TransportErrorKind::Tls;
    TransportError::new(kind, TransportPhase::NothingSent).with_source(source)
}

#[async_trait]
impl TransportAdapter for Connections {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        let client = self.client(request.timeouts.connect_ms)?;
        let sent = Arc::new(Sent::before(&request.body));
        let body = SentBody { rest: request.body, sent: Arc::clone(&sent) };
        let call = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(reqwest::Body::wrap(body))
            .send();
        let response = call.await.map_err(|error| failed_before_head(error, &sent))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let response = TransportResponse { status, headers, body: body_of(response) };
        if is_encoded(&response.headers) {
            return Err(response.into_error(TransportErrorKind::Malformed).await);
        }
        Ok(response)
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity")
}

fn body_of(response: reqwest::Response) -> BodyStream {
    Box::pin(futures::stream::unfold(Some(response), async |response| {
        let mut response = response?;
        match response.chunk().await {
            Ok(Some(read)) => Some((Ok(read), Some(response))),
            Ok(None) => None,
            Err(error) => Some((Err(failed_in_body(error)), None)),
        }
    }))
}

/// How much of a request body the connection has taken.
#[derive(Debug)]
struct Sent(AtomicU8);

impl Sent {
    const NOT_ASKED: u8 = 0;
    const IN_PART: u8 = 1;
    const ALL: u8 = 2;

    /// An empty body is never asked for: all of it counts as taken from the start.
    fn before(body: &Bytes) -> Self {
        Self(AtomicU8::new(if body.is_empty() { Self::ALL } else { Self::NOT_ASKED }))
    }
}

/// A request body that tells how much of it was taken.
///
/// Taken is not yet written, so a failure after all was taken may have happened before or after the provider had the
/// request: ambiguous. A failure before that is certain: the request was never complete.
struct SentBody {
    rest: Bytes,
    sent: Arc<Sent>,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = self.rest.len().min(SEND_BYTES);
        let piece = self.rest.split_to(bytes);
        let sent = if self.rest.is_empty() { Sent::ALL } else { Sent::IN_PART };
        self.sent.0.store(sent, Ordering::Release);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

fn failed_before_head(error: reqwest::Error, sent: &Sent) -> TransportError {
    // An address may hold a key; the error must not show it.
    let error = error.without_url();
    if error.is_builder() {
        return invalid_request(error);
    }
    let nothing_sent = |kind, error: reqwest::Error| {
        TransportError::new(kind, TransportPhase::NothingSent).with_source(error)
    };
    if error.is_connect() && causes(&error).any(|cause| cause.is::<rustls::Error>()) {
        return nothing_sent(TransportErrorKind::Tls, error);
    }
    if error.is_connect() {
        let kind = if error.is_timeout() {
            TransportErrorKind::ConnectTimeout
        } else {
            TransportErrorKind::Connect
        };
        return nothing_sent(kind, error);
    }
    let phase = match sent.0.load(Ordering::Acquire) {
        Sent::NOT_ASKED | Sent::IN_PART => TransportPhase::PartlySent,
        _ => TransportPhase::Ambiguous,
    };
    TransportError::new(closed_or_reset(&error), phase).with_source(error)
}

fn failed_in_body(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    TransportError::new(closed_or_reset(&error), TransportPhase::Streaming).with_source(error)
}

fn closed_or_reset(error: &reqwest::Error) -> TransportErrorKind {
    let is_reset =
        causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| {
            matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        });
    if is_reset { TransportErrorKind::Reset } else { TransportErrorKind::Closed }
}

/// The error and its causes, outermost first; what an `io::Error` wraps is one of them.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&current: &&'a (dyn Error + 'static)| {
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => current.source(),
        }
    })
}
