//! The HTTP side: routes and answers.
//!
//! A request in flight is dropped when its client goes away, and its receipt then closes it in the ledger.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::behaviour::Behaviour;
use super::capture::Captured;
use super::ledger::{Arrival, Ledger, Outcome, Receipt};
use super::reply::{ReplyBody, Shape};
use super::wire::{self, CompletionRequest};
use crate::connections;

/// The largest request body: beyond the product's own limit, so that the product's is tested first.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

type Reply = Response<ReplyBody>;

/// What the server needs besides its ledger.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// If set, requests to `/v1/` without `Authorization: Bearer <this>` are refused with 401.
    pub api_key: Option<String>,
}

/// Serves until the returned future is dropped.
///
/// # Errors
/// The listener failed in a way that is not one connection's.
pub async fn serve(
    listener: TcpListener,
    ledger: Arc<Ledger>,
    options: ServerOptions,
) -> io::Result<()> {
    let options = Arc::new(options);
    let answer = move |request| {
        let (ledger, options) = (Arc::clone(&ledger), Arc::clone(&options));
        async move { route(request, &ledger, &options).await }
    };
    connections::serve(listener, answer).await
}

async fn route(
    request: Request<Incoming>,
    ledger: &Arc<Ledger>,
    options: &ServerOptions,
) -> Result<Reply, hyper::Error> {
    let path = request.uri().path().to_owned();
    if path.starts_with("/v1/") && !is_authorized(request.headers(), options) {
        let body = wire::error_body(
            "Incorrect API key provided.",
            "invalid_request_error",
            "invalid_api_key",
        );
        return Ok(json(StatusCode::UNAUTHORIZED, body));
    }
    let id = request.uri().query().and_then(|query| query.strip_prefix("id=")).map(str::to_owned);
    let reply = match (request.method(), path.as_str()) {
        (&Method::POST, "/v1/chat/completions") => return complete(request, ledger).await,
        (&Method::GET, "/v1/models") => json(StatusCode::OK, wire::models()),
        (&Method::GET, "/_ledger") => serialized(&ledger.summary()),
        (&Method::GET, "/_captured") => serialized(&ledger.captured(id.as_deref())),
        (&Method::POST, "/_behaviour") => {
            let body = request.into_body().collect().await?.to_bytes();
            match Behaviour::parse(String::from_utf8_lossy(&body).trim()) {
                Ok(behaviour) => {
                    ledger.set_default_behaviour(behaviour);
                    json(StatusCode::OK, "{}")
                }
                Err(error) => bad_request(&error.to_string()),
            }
        }
        (&Method::POST, "/_reset") => match ledger.reset() {
            Ok(()) => json(StatusCode::OK, "{}"),
            Err(error) => server_error(&error.to_string()),
        },
        _ => {
            let message = format!("Unknown request URL: {} {path}.", request.method());
            let body = wire::error_body(&message, "invalid_request_error", "unknown_url");
            json(StatusCode::NOT_FOUND, body)
        }
    };
    Ok(reply)
}

async fn complete(request: Request<Incoming>, ledger: &Arc<Ledger>) -> Result<Reply, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => return Err(*error),
            Err(_) => {
                let body = wire::error_body("too large", "invalid_request_error", "too_large");
                return Ok(json(StatusCode::PAYLOAD_TOO_LARGE, body));
            }
        },
    };
    let request: CompletionRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return Ok(bad_request(&error.to_string())),
    };
    let behaviour = match Behaviour::of_model(&request.model) {
        Ok(Some(behaviour)) => behaviour,
        Ok(None) if is_known_model(&request.model) => ledger.default_behaviour(),
        Ok(None) => {
            let message = format!("The model `{}` does not exist.", request.model);
            let body = wire::error_body(&message, "invalid_request_error", "model_not_found");
            return Ok(json(StatusCode::NOT_FOUND, body));
        }
        Err(error) => return Ok(bad_request(&error.to_string())),
    };
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let captured = Captured::new(path, &head.headers, &body);
    let mut receipt =
        match ledger.start(arrival(&request, &behaviour, &head.headers, &body), captured) {
            Ok(receipt) => receipt,
            Err(error) => {
                let body = wire::error_body(&error.to_string(), "server_error", "ledger_full");
                return Ok(json(StatusCode::INSUFFICIENT_STORAGE, body));
            }
        };
    let behaviour = behaviour.for_attempt(receipt.attempt());
    receipt.set_behaviour(behaviour.clone());
    Ok(answer(&request, &behaviour, receipt).await)
}

async fn answer(request: &CompletionRequest, behaviour: &Behaviour, receipt: Receipt) -> Reply {
    let id = HeaderValue::from_str(receipt.id()).ok();
    pause(behaviour.header_delay).await;
    let mut reply = if let Some(status) = refusal_status(request, behaviour) {
        refuse(status, behaviour, receipt)
    } else if behaviour.fault.html {
        web_page(receipt)
    } else if request.stream == Some(true) {
        streamed(request, behaviour, receipt)
    } else {
        whole(request, behaviour, receipt).await
    };
    if let Some(id) = id {
        reply.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    reply
}

/// Sleeping for no time would still wait for the timer's next millisecond.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn streamed(request: &CompletionRequest, behaviour: &Behaviour, mut receipt: Receipt) -> Reply {
    receipt.set_status(200);
    let mut reply = Response::new(ReplyBody::stream(request, behaviour, receipt));
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

async fn whole(request: &CompletionRequest, behaviour: &Behaviour, mut receipt: Receipt) -> Reply {
    pause(behaviour.first_delay).await;
    let shape = Shape::of(request, behaviour);
    for chunk in 0..shape.chunks {
        if behaviour.fault.stall_after == Some(chunk) {
            std::future::pending::<()>().await;
        }
        pause(behaviour.delay).await;
    }
    receipt.set_status(200);
    if behaviour.fault.malformed_after.is_some() {
        receipt.close(Outcome::Error);
        return json(StatusCode::OK, r#"{"id":"chatcmpl-broken","choices":[{"mess"#);
    }
    with_json(Response::new(ReplyBody::whole(request, behaviour, receipt)))
}

/// A reply without a stream has no place for an error event: it becomes a 500.
fn refusal_status(request: &CompletionRequest, behaviour: &Behaviour) -> Option<StatusCode> {
    let has_event = behaviour.fault.error_event_after.is_some() && request.stream != Some(true);
    let status = behaviour.fault.status.or(has_event.then_some(500))?;
    StatusCode::from_u16(status).ok()
}

fn refuse(status: StatusCode, behaviour: &Behaviour, mut receipt: Receipt) -> Reply {
    let (kind, code) = match status.as_u16() {
        429 if behaviour.fault.quota => ("insufficient_quota", "insufficient_quota"),
        429 => ("requests", "rate_limit_exceeded"),
        401 => ("invalid_request_error", "invalid_api_key"),
        403 => ("invalid_request_error", "forbidden"),
        404 => ("invalid_request_error", "model_not_found"),
        400..500 => ("invalid_request_error", "invalid_request"),
        _ => ("server_error", "server_error"),
    };
    receipt.set_status(status.as_u16());
    receipt.refuse();
    let mut reply = json(status, wire::error_body("refused on purpose", kind, code));
    let headers = reply.headers_mut();
    if let Some(wait_ms) = behaviour.fault.retry_after_ms {
        headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(wait_ms));
        let wait_s = HeaderValue::from(wait_ms.div_ceil(1_000));
        headers.insert(HeaderName::from_static("retry-after"), wait_s);
    }
    if let Some(retry) = behaviour.fault.should_retry {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        headers.insert(HeaderName::from_static("x-should-retry"), value);
    }
    reply
}

fn web_page(mut receipt: Receipt) -> Reply {
    receipt.set_status(200);
    receipt.refuse();
    let page = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Log in</body></html>";
    let mut reply = Response::new(ReplyBody::fixed(page));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    reply
}

fn arrival(
    request: &CompletionRequest,
    behaviour: &Behaviour,
    headers: &HeaderMap,
    body: &Bytes,
) -> Arrival {
    let idempotency_key = headers.get("idempotency-key");
    let idempotency_key =
        idempotency_key.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut hasher = DefaultHasher::new();
    match &idempotency_key {
        Some(key) => key.hash(&mut hasher),
        None => body.hash(&mut hasher),
    }
    Arrival {
        model: request.model.clone(),
        stream: request.stream == Some(true),
        tokens_prompt: request.tokens_prompt(behaviour.output),
        max_tokens: request.cap(),
        user: request.user.clone(),
        metadata: request.metadata.clone(),
        idempotency_key,
        attempt_key: hasher.finish(),
    }
}

fn is_authorized(headers: &HeaderMap, options: &ServerOptions) -> bool {
    let Some(key) = &options.api_key else {
        return true;
    };
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    sent.and_then(|sent| sent.strip_prefix("Bearer ")) == Some(key)
}

/// Names without a behaviour of their own that are served all the same.
fn is_known_model(model: &str) -> bool {
    model == "fake" || model.starts_with("gpt-")
}

fn bad_request(message: &str) -> Reply {
    let body = wire::error_body(message, "invalid_request_error", "invalid_request");
    json(StatusCode::BAD_REQUEST, body)
}

fn server_error(message: &str) -> Reply {
    let body = wire::error_body(message, "server_error", "server_error");
    json(StatusCode::INTERNAL_SERVER_ERROR, body)
}

fn serialized<T: serde::Serialize>(value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => server_error(&error.to_string()),
    }
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = with_json(Response::new(ReplyBody::fixed(body)));
    *reply.status_mut() = status;
    reply
}

fn with_json(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
