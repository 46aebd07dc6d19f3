//! The port without a network: replies from a script, requests kept for inspection.
//!
//! `ScriptedTransport` is the executable meaning of the port and what provider leaves test against;
//! `RecordingTransport` keeps the requests that pass through it to any other adapter.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::adapter::{BodyStream, TransportAdapter, TransportRequest, TransportResponse};
use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::timed::TimedTransport;

/// The most requests kept; the oldest is forgotten first. 4,096: far above any test, far below any memory.
const REQUESTS_KEPT_MAX: usize = 4_096;

/// One thing a scripted reply does.
#[derive(Debug, Clone)]
pub enum ScriptedStep {
    /// One network read.
    Bytes(Bytes),
    /// Waits on tokio's clock before the next step.
    WaitMs(u64),
    /// Never goes on.
    Hang,
    /// Ends the reply with this error.
    Fail(TransportError),
}

/// One reply of a script: what happens before the head, the head, what happens in the body.
///
/// A reply whose steps before the head fail has no head at all.
#[derive(Debug, Clone)]
pub struct ScriptedReply {
    status: StatusCode,
    headers: HeaderMap,
    before_head: Vec<ScriptedStep>,
    body: Vec<ScriptedStep>,
}

impl ScriptedReply {
    /// An empty reply with this status and no headers.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), before_head: Vec::new(), body: Vec::new() }
    }

    /// A 200 whose body is an event stream; add reads with `read`.
    #[must_use]
    pub fn event_stream() -> Self {
        let reply = Self::status(StatusCode::OK);
        reply.header(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))
    }

    /// A reply with a JSON body in one read.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let reply = Self::status(status);
        reply.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).read(body)
    }

    /// No head at all: `send` fails with `error`.
    #[must_use]
    pub fn failure(error: TransportError) -> Self {
        Self::status(StatusCode::OK).before_head(ScriptedStep::Fail(error))
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds a step that happens before the head; `Bytes` does nothing there.
    #[must_use]
    pub fn before_head(mut self, step: ScriptedStep) -> Self {
        self.before_head.push(step);
        self
    }

    /// Adds a network read to the body.
    #[must_use]
    pub fn read(self, bytes: impl Into<Bytes>) -> Self {
        self.step(ScriptedStep::Bytes(bytes.into()))
    }

    /// Adds a step to the body.
    #[must_use]
    pub fn step(mut self, step: ScriptedStep) -> Self {
        self.body.push(step);
        self
    }
}

/// Answers requests from a script, in order; keeps the time-outs of each request.
///
/// A request beyond the script's end gets `InvalidRequest`. Clones share one script.
#[derive(Debug, Clone)]
pub struct ScriptedTransport {
    timed: TimedTransport<Script>,
    script: Script,
}

#[derive(Debug, Clone, Default)]
struct Script {
    state: Arc<Mutex<ScriptState>>,
}

#[derive(Debug, Default)]
struct ScriptState {
    replies: VecDeque<ScriptedReply>,
    requests: VecDeque<TransportRequest>,
    bodies_abandoned: u64,
}

impl ScriptedTransport {
    /// A transport that gives `replies` in order.
    #[must_use]
    pub fn new(replies: impl IntoIterator<Item = ScriptedReply>) -> Self {
        let script = Script::default();
        script.with(|state| state.replies.extend(replies));
        Self { timed: TimedTransport::new(script.clone()), script }
    }

    /// Adds a reply at the end of the script.
    pub fn push(&self, reply: ScriptedReply) {
        self.script.with(|state| state.replies.push_back(reply));
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<TransportRequest> {
        self.script.with(|state| state.requests.iter().cloned().collect())
    }

    /// How many bodies were dropped before their end, each a connection that would have been closed.
    #[must_use]
    pub fn bodies_abandoned(&self) -> u64 {
        self.script.with(|state| state.bodies_abandoned)
    }
}

#[async_trait]
impl TransportAdapter for ScriptedTransport {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        self.timed.send(request).await
    }
}

impl Script {
    fn with<T>(&self, act: impl FnOnce(&mut ScriptState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl TransportAdapter for Script {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        let reply = self.with(|state| {
            keep(&mut state.requests, request);
            state.replies.pop_front()
        });
        let Some(reply) = reply else {
            let kind = TransportErrorKind::InvalidRequest;
            return Err(TransportError::new(kind, TransportPhase::NothingSent)
                .with_source("the script has no reply left"));
        };
        for step in reply.before_head {
            play(step).await?;
        }
        let steps = futures::stream::iter(reply.body).then(play);
        let body = Box::pin(steps.filter_map(|step| futures::future::ready(step.transpose())));
        let body = ScriptedBody { inner: body, script: self.clone(), is_over: false };
        Ok(TransportResponse { status: reply.status, headers: reply.headers, body: Box::pin(body) })
    }
}

/// What one step yields; `Ok(None)` is a wait that is over.
async fn play(step: ScriptedStep) -> Result<Option<Bytes>, TransportError> {
    match step {
        ScriptedStep::Bytes(bytes) => Ok(Some(bytes)),
        ScriptedStep::WaitMs(wait_ms) => {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            Ok(None)
        }
        ScriptedStep::Hang => std::future::pending().await,
        ScriptedStep::Fail(error) => Err(error),
    }
}

/// Keeps count of bodies that are dropped before their end.
struct ScriptedBody {
    inner: BodyStream,
    script: Script,
    is_over: bool,
}

impl Stream for ScriptedBody {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = self.inner.as_mut().poll_next(context);
        self.is_over = matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        if !self.is_over {
            self.script.with(|state| {
                state.bodies_abandoned = state.bodies_abandoned.saturating_add(1);
            });
        }
    }
}

/// Passes requests on to another adapter and keeps a copy of each.
#[derive(Clone)]
pub struct RecordingTransport<T> {
    inner: T,
    requests: Arc<Mutex<VecDeque<TransportRequest>>>,
}

impl<T> RecordingTransport<T> {
    /// Records what is sent through `inner`. Clones share one record.
    #[must_use]
    pub fn new(inner: T) -> Self {
        Self { inner, requests: Arc::default() }
    }

    /// The requests so far, oldest first; at most the last 4,096.
    #[must_use]
    pub fn requests(&self) -> Vec<TransportRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl<T: fmt::Debug> fmt::Debug for RecordingTransport<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordingTransport")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: TransportAdapter> TransportAdapter for RecordingTransport<T> {
    async fn send(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        keep(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner), request.clone());
        self.inner.send(request).await
    }
}

fn keep(requests: &mut VecDeque<TransportRequest>, request: TransportRequest) {
    if requests.len() >= REQUESTS_KEPT_MAX {
        requests.pop_front();
    }
    requests.push_back(request);
}
