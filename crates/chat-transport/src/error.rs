//! What went wrong on the way to a provider and how far the request had got.
//!
//! The phase decides about money: before bytes left nothing can have been billed, after them it may have been.
//! Neither `Display` nor `Debug` shows the body, the address or a header: all three may carry secrets or user text.
//! Not here: whether to try again (`retry`).

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::StatusCode;

use crate::hints::ResponseHints;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The request itself cannot be sent: a bad address, method or header.
    InvalidRequest,
    /// Name lookup or connecting failed.
    Connect,
    /// No connection within `connect_ms`.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// No response headers within `first_byte_ms`.
    FirstByteTimeout,
    /// No byte of the body within `idle_ms`.
    IdleTimeout,
    /// Bytes, but no event that carries progress within `progress_ms`.
    ProgressTimeout,
    /// `total_ms` is over.
    TotalTimeout,
    /// The peer reset the connection.
    Reset,
    /// The peer closed before the message was complete.
    Closed,
    /// A line, an event or a body is larger than its bound.
    TooLarge,
    /// The reply is not of the type that was asked for, such as an HTML page of a proxy.
    BadContentType,
    /// The bytes of the reply cannot be decoded: a content encoding nobody asked for, or broken framing.
    Malformed,
    /// The provider refused: an HTTP status other than 2xx, or an error event that stands for one.
    Status,
    /// The caller stopped the call.
    Stopped,
}

/// How far the request had got when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportPhase {
    /// No byte of the request left this machine.
    NothingSent,
    /// Some bytes left, but surely not all of them: the provider cannot have acted.
    PartlySent,
    /// All bytes may have left and no answer came: the provider may or may not have acted.
    Ambiguous,
    /// The response headers arrived.
    Headers,
    /// The body was being read.
    Streaming,
}

/// A failed request, with the evidence the peer sent.
#[derive(Clone)]
pub struct TransportError {
    inner: std::sync::Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: TransportErrorKind,
    phase: TransportPhase,
    status: Option<StatusCode>,
    hints: ResponseHints,
    body: Bytes,
    source: Option<std::sync::Arc<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// An error of `kind` that happened in `phase`, with no further evidence.
    #[must_use]
    pub fn new(kind: TransportErrorKind, phase: TransportPhase) -> Self {
        Self {
            inner: std::sync::Arc::new(Inner {
                kind,
                phase,
                status: None,
                hints: ResponseHints::default(),
                body: Bytes::new(),
                source: None,
            }),
        }
    }

    /// Adds the HTTP status, or the status an error event inside a 200 stands for.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    /// Adds what the response headers said about retrying, and the provider's request id.
    #[must_use]
    pub fn with_hints(self, hints: ResponseHints) -> Self {
        self.change(|inner| inner.hints = hints)
    }

    /// Adds the start of the body; callers bound it (`ERROR_BODY_BYTES_MAX`).
    #[must_use]
    pub fn with_body(self, body: Bytes) -> Self {
        self.change(|inner| inner.body = body)
    }

    /// Adds the cause. The caller makes sure that its text holds no address with a key in it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = std::sync::Arc::from(source.into());
        self.change(|inner| inner.source = Some(source))
    }

    fn change(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        edit(std::sync::Arc::make_mut(&mut self.inner));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.inner.kind
    }

    /// How far the request had got.
    #[must_use]
    pub fn phase(&self) -> TransportPhase {
        self.inner.phase
    }

    /// The HTTP status, where one arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.inner.status
    }

    /// How long the provider asked to wait, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.inner.hints.retry_after_ms
    }

    /// The provider's own verdict on retrying (`x-should-retry`).
    #[must_use]
    pub fn should_retry(&self) -> Option<bool> {
        self.inner.hints.should_retry
    }

    /// The id the provider gave the request, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.hints.request_id.as_deref()
    }

    /// The start of the body, kept as evidence; may hold user text, so never log it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.inner.body
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "transport failed ({:?}, {:?}", self.inner.kind, self.inner.phase)?;
        if let Some(status) = self.inner.status {
            write!(formatter, ", status {}", status.as_u16())?;
        }
        formatter.write_str(")")
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransportError")
            .field("kind", &self.inner.kind)
            .field("phase", &self.inner.phase)
            .field("status", &self.inner.status)
            .field("hints", &self.inner.hints)
            .field("body_bytes", &self.inner.body.len())
            .field("source", &self.inner.source)
            .finish()
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.inner.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
