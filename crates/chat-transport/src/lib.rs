#![doc = include_str!("../README.md")]

mod adapter;
mod body;
mod breaker;
mod budget;
mod error;
mod health;
mod hints;
#[cfg(feature = "reqwest")]
mod http_transport;
mod memory;
mod retry;
mod retry_loop;
mod sse;
mod sse_decoder;
mod sse_event;
mod timed;
mod timeouts;

pub use adapter::{BodyStream, TransportAdapter, TransportRequest, TransportResponse};
pub use body::{ERROR_BODY_BYTES_MAX, REPLY_BODY_BYTES_MAX, is_event_stream};
pub use breaker::{Breaker, BreakerConfig, BreakerOpen, BreakerState};
pub use budget::{RetryBudget, RetryBudgetConfig};
pub use error::{TransportError, TransportErrorKind, TransportPhase};
pub use health::ProviderHealth;
pub use hints::ResponseHints;
#[cfg(feature = "reqwest")]
pub use http_transport::{HttpTransport, HttpTransportConfig};
pub use memory::{RecordingTransport, ScriptedReply, ScriptedStep, ScriptedTransport};
pub use retry::{
    Failure, FailureClass, GiveUpReason, RetryDecision, RetryPolicy, RetryProgress, Retryable,
    decide,
};
pub use retry_loop::{
    GateRefused, OpenGate, RetryError, RetryGate, RetryRun, RetryTime, TokioRetryTime, with_retry,
};
pub use sse::SseStream;
pub use sse_event::{SseEvent, SseLimits};
pub use timed::TimedTransport;
pub use timeouts::Timeouts;
