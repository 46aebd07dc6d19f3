//! One call: attempts through the permit's gate until the first delta is there.

use std::sync::Arc;

use bytes::Bytes;
use chat_provider::{
    CallPermit, CompletionStream, Exposure, GateRefused, ModelProvider, Prepared, ProviderError,
    ProviderErrorKind, ProviderEvent,
};
use chat_transport::{
    REPLY_BODY_BYTES_MAX, RetryError, RetryRun, SseEvent, SseLimits, SseStream, TransportError,
    TransportErrorKind, TransportPhase, TransportRequest, TransportResponse, is_event_stream,
    with_retry,
};
use chat_types::{ModelRef, StepKey};
use futures::{StreamExt, stream};
use http::HeaderValue;
use http::header::{ACCEPT, HeaderName};

use crate::decode::{Decoder, Stop};
use crate::error::CallError;
use crate::provider::{OpenAiProvider, Shared};
use crate::reply::Reply;
use crate::request::with_cap;
use crate::wire::Completion;

/// The same for every attempt of a step, so that a server that knows it makes one reply.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What an attempt has when it returns: the events so far, and the rest if it streams.
type Committed = (Vec<ProviderEvent>, Option<Reply>);

impl OpenAiProvider {
    pub(crate) async fn call(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        let shared = &self.shared;
        let config = &shared.config;
        if config.api_key.is_none() && config.is_official() {
            let detail = format!("{} wants a key: set {}", shared.server.host, config.key_name);
            return Err(ProviderError::new(ProviderErrorKind::Unauthorized, detail));
        }
        let cap = permit.output_cap();
        let body = Bytes::from(with_cap(&prepared.body, config.cap_field(), cap)?);
        let request = shared.request(body, prepared.stream, &permit.grant().terms().key);
        let model = ModelRef::new(self.id().clone(), prepared.model.clone());
        let gate = crate::gate::PermitGate(permit);
        let deadline_ms = shared.time.now_ms().saturating_add(config.timeouts.total_ms);
        let run = RetryRun {
            policy: &config.retry,
            gate: &gate,
            time: shared.time.as_ref(),
            health: Some(&shared.health),
            deadline_ms: Some(deadline_ms),
        };
        let attempt = |_| attempt(shared, request.clone(), &model, prepared.stream);
        let (first, rest) = match with_retry(&run, attempt).await {
            Ok(committed) => committed,
            Err(error) => return Err(shared.given_up(error)),
        };
        let first = stream::iter([Ok(first)]);
        Ok(match rest {
            Some(reply) => Box::pin(first.chain(stream::unfold(reply, Reply::next))),
            None => Box::pin(first),
        })
    }
}

impl Shared {
    fn request(&self, body: Bytes, stream: bool, key: &StepKey) -> TransportRequest {
        let mut headers = self.headers.clone();
        let accept = if stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Ok(value) = HeaderValue::try_from(format!("{}-{}", key.turn, key.step)) {
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        TransportRequest {
            headers,
            timeouts: self.config.timeouts,
            ..TransportRequest::post(self.config.url("chat/completions"), body)
        }
    }

    /// A reply that ended before it said anything.
    pub(crate) fn cut(&self, model: &str) -> CallError {
        let cut = TransportError::new(TransportErrorKind::Closed, TransportPhase::Streaming);
        self.server.transport_error(model, &cut)
    }

    fn given_up(&self, error: RetryError<CallError>) -> ProviderError {
        match error {
            RetryError::GaveUp { error, .. } => *error.error,
            RetryError::Refused { refused, last_error, .. } => {
                let exposure = last_error.map_or(Exposure::None, |last| last.error.exposure());
                let refused = refused
                    .into_source()
                    .and_then(|source| source.downcast::<GateRefused>().ok())
                    .map_or_else(|| GateRefused::new("not admitted"), |refused| *refused);
                ProviderError::from(refused).with_exposure(exposure)
            }
            RetryError::BreakerOpen(open) => ProviderError::new(
                ProviderErrorKind::Unavailable,
                format!(
                    "{} failed too often lately and is left alone for a while",
                    self.server.host
                ),
            )
            .with_retry_after_ms(Some(open.retry_after_ms)),
        }
    }
}

async fn attempt(
    shared: &Arc<Shared>,
    request: TransportRequest,
    model: &ModelRef,
    stream: bool,
) -> Result<Committed, CallError> {
    let name = model.model.as_str();
    let failed = |error: TransportError| shared.server.transport_error(name, &error);
    let response = shared.transport.send(request).await.map_err(failed)?;
    let mut response = response.error_for_status().await.map_err(failed)?;
    let request_id = response.hints().request_id;
    let decoder =
        Decoder::new(model.clone(), request_id.clone()).with_cost_in_usd(shared.config.cost_in_usd);
    if !stream {
        return Ok((whole(shared, name, response, decoder).await?, None));
    }
    // Errors and pages of proxies come as JSON or HTML, sometimes under the type of a stream.
    let first = match response.body.next().await {
        Some(first) => first.map_err(failed)?,
        None => return Err(shared.cut(name)),
    };
    let start = first.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_whole = matches!(start, Some(b'{' | b'<')) || !is_event_stream(&response.headers);
    response.body = Box::pin(stream::iter([Ok(first)]).chain(response.body));
    if is_whole {
        return Ok((whole(shared, name, response, decoder).await?, None));
    }
    let events = SseStream::new(response.body, SseLimits::default())
        .with_progress_rule(&shared.config.timeouts, is_progress);
    let mut reply = Reply::new(Arc::clone(shared), name.to_owned(), request_id, events, decoder);
    let first = reply.first().await?;
    Ok((first, Some(reply)))
}

/// A chunk, not a ping.
fn is_progress(event: &SseEvent) -> bool {
    event.event == "message" && event.data.contains("\"choices\"")
}

/// A reply in one piece, told as the same events.
async fn whole(
    shared: &Shared,
    model: &str,
    response: TransportResponse,
    mut decoder: Decoder,
) -> Result<Vec<ProviderEvent>, CallError> {
    let server = &shared.server;
    let hints = response.hints();
    let body = response.read_full(REPLY_BODY_BYTES_MAX).await;
    let body = body.map_err(|error| server.transport_error(model, &error))?;
    let Ok(completion) = serde_json::from_slice::<Completion<'_>>(&body) else {
        let kind = TransportErrorKind::BadContentType;
        let page = TransportError::new(kind, TransportPhase::Headers).with_hints(hints);
        return Err(server.transport_error(model, &page));
    };
    let mut events = Vec::new();
    match decoder.completion(&completion, &mut events) {
        Ok(()) if decoder.has_delta || decoder.is_finished => Ok(events),
        Ok(()) | Err(Stop::Done) => Err(server.malformed("a reply without choices")),
        Err(Stop::Refused(vendor)) => {
            Err(server.refused_in_stream(model, &vendor, hints.request_id.as_deref()))
        }
        Err(Stop::Malformed(what)) => Err(server.malformed(what)),
    }
}
