//! Reading a reply that is not a stream of events: bounded, and with evidence when it is an error.
//!
//! Not here: events (`sse`), time (`timed`).

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::adapter::{BodyStream, TransportResponse};
use crate::error::{TransportError, TransportErrorKind, TransportPhase};

/// How much of an error's body is kept, in bytes: vendors' errors have under 4 KiB, proxies' pages under 64.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// The default bound of a whole, unstreamed reply, in bytes: 128 k tokens of output are under 1 MiB of text, the rest
/// is room for inline images.
pub const REPLY_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Whether the headers announce an event stream; parameters such as `charset` do not matter, events are UTF-8.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"))
}

fn essence(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

impl TransportResponse {
    /// Passes a 2xx response on, turns any other into an error with up to 64 KiB of its body.
    ///
    /// # Errors
    /// `Status` in phase `Headers`. A body that breaks while it is read as evidence is kept as far as it came.
    pub async fn error_for_status(self) -> Result<Self, TransportError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.into_error(TransportErrorKind::Status).await)
    }

    /// Passes a response that announces an event stream on.
    ///
    /// # Errors
    /// `BadContentType` with up to 64 KiB of the body as evidence.
    pub async fn expect_event_stream(self) -> Result<Self, TransportError> {
        if is_event_stream(&self.headers) {
            return Ok(self);
        }
        Err(self.into_error(TransportErrorKind::BadContentType).await)
    }

    /// Reads the whole body, at most `bytes_max` (normally `REPLY_BODY_BYTES_MAX`), as one piece.
    ///
    /// # Errors
    /// `TooLarge` as soon as the bound is passed; the connection is closed then. The body's own error otherwise.
    pub async fn read_full(self, bytes_max: usize) -> Result<Bytes, TransportError> {
        let (status, hints) = (self.status, self.hints());
        read_bounded(self.body, bytes_max)
            .await
            .map_err(|error| error.with_status(status).with_hints(hints))
    }

    /// Turns the response into an error of `kind`, reading up to 64 KiB of its body as evidence.
    pub async fn into_error(self, kind: TransportErrorKind) -> TransportError {
        let hints = self.hints();
        let body = read_evidence(self.body).await;
        TransportError::new(kind, TransportPhase::Headers)
            .with_status(self.status)
            .with_hints(hints)
            .with_body(body)
    }
}

async fn read_bounded(mut body: BodyStream, bytes_max: usize) -> Result<Bytes, TransportError> {
    let mut whole = BytesMut::new();
    while let Some(read) = body.next().await {
        let read = read?;
        if whole.len().saturating_add(read.len()) > bytes_max {
            return Err(TransportError::new(
                TransportErrorKind::TooLarge,
                TransportPhase::Streaming,
            ));
        }
        whole.extend_from_slice(&read);
    }
    Ok(whole.freeze())
}

/// Reads the first 64 KiB and drops the rest, and the connection with it.
async fn read_evidence(mut body: BodyStream) -> Bytes {
    let mut evidence = BytesMut::new();
    while let Some(Ok(mut read)) = body.next().await {
        read.truncate(ERROR_BODY_BYTES_MAX.saturating_sub(evidence.len()));
        evidence.extend_from_slice(&read);
        if evidence.len() >= ERROR_BODY_BYTES_MAX {
            break;
        }
    }
    evidence.freeze()
}
