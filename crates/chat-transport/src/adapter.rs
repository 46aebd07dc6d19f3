//! The port: one request out, one response head and a stream of bytes back.
//!
//! Nothing here knows HTTP libraries, model providers or retries. An adapter sends each request exactly once.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, Method, StatusCode};

use crate::error::TransportError;
use crate::hints::ResponseHints;
use crate::timeouts::Timeouts;

/// The body of a response: reads in order, the last item is the only error there can be.
///
/// The end of the stream means that the message was complete; a body that was cut ends in an error, never in a
/// plain end. Dropping it closes the connection, which is how a provider learns that nobody is listening.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// One request, complete and ready to send.
#[derive(Clone)]
pub struct TransportRequest {
    /// The HTTP method.
    pub method: Method,
    /// The absolute address, `http` or `https`. Checked by the adapter when it is sent.
    pub url: String,
    /// All headers but those that the adapter owns (`host`, `content-length`, `connection`).
    pub headers: HeaderMap,
    /// The whole body; cloning it is free.
    pub body: Bytes,
    /// The bounds in time.
    pub timeouts: Timeouts,
}

impl TransportRequest {
    /// A `POST` of `body` to `url` with no headers and the default time-outs.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            url: url.into(),
            headers: HeaderMap::new(),
            body: body.into(),
            timeouts: Timeouts::default(),
        }
    }

    /// A `GET` of `url` with no headers and the default time-outs.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, ..Self::post(url, Bytes::new()) }
    }
}

impl fmt::Debug for TransportRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys travel in header values, in the query and in the user part of an address.
        formatter
            .debug_struct("TransportRequest")
            .field("method", &self.method)
            .field("host", &host_of(&self.url))
            .field("header_names", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

/// The host and port of an address, without user, path and query.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// The head of a response and its body still to come.
pub struct TransportResponse {
    /// The HTTP status. Any status is an `Ok` here; see `error_for_status`.
    pub status: StatusCode,
    /// All response headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: BodyStream,
}

impl TransportResponse {
    /// What the headers say about retrying.
    #[must_use]
    pub fn hints(&self) -> ResponseHints {
        ResponseHints::from_headers(&self.headers)
    }
}

impl fmt::Debug for TransportResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransportResponse")
            .field("status", &self.status)
            .field("header_names", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Sends requests.
///
/// Promises of every implementation:
/// - each call of `send` puts the request on the wire at most once, and follows no redirect;
/// - an error's phase never claims less than what may have left the machine;
/// - dropping the future of `send`, or the body, abandons the request and closes its connection;
/// - `timeouts` hold, body included (wrap an adapter that has none in `TimedTransport`).
#[async_trait]
pub trait TransportAdapter: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` and waits for the response head.
    ///
    /// # Errors
    /// Whatever kept the head from arriving, with the phase. An HTTP error status is not an error here.
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError>;
}

#[async_trait]
impl<T: TransportAdapter + ?Sized> TransportAdapter for std::sync::Arc<T> {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        (**self).send(request).await
    }
}
