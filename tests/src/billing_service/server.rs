//! The HTTP side: the secret, keys, faults, and the work in between.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use super::books::{Books, Received};
use super::fault::{Fault, Operation};
use super::routes::{Reply, Route};
use crate::connections;

/// The largest request: a restore of many rows.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The connection is closed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
struct CutOnPurpose;

/// Serves until the returned future is dropped.
///
/// # Errors
/// The listener failed in a way that is not one connection's.
pub async fn serve(listener: TcpListener, books: Arc<Books>) -> io::Result<()> {
    let answer = move |request| {
        let books = Arc::clone(&books);
        async move { answer(request, &books).await }
    };
    connections::serve(listener, answer).await
}

async fn answer(
    request: Request<Incoming>,
    books: &Books,
) -> Result<Response<Full<Bytes>>, CutOnPurpose> {
    let (head, body) = request.into_parts();
    if !is_authorized(&head.headers, &books.secret) {
        return Ok(json(&Reply::error(401, "unauthorized", "the secret is not right")));
    }
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let Some(route) = Route::of(&head.method, path, query) else {
        return Ok(json(&Reply::error(404, "no_route", "no such address")));
    };
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(json(&Reply::error(413, "invalid_request", "the body is too large or was cut")));
    };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let key = head.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    books.remember(Received {
        operation: route.operation,
        path: head.uri.to_string(),
        key: key.map(str::to_owned),
        body: body.clone(),
    });
    let fault = books.faults().next(route.operation);
    match fault {
        Some(Fault::LoseRequest) => return Err(CutOnPurpose),
        Some(Fault::Status(status)) => return Ok(text(status, "text/plain", "out of order")),
        Some(Fault::Page) => return Ok(text(200, "text/html", "<html>Log in</html>")),
        Some(Fault::LoseAnswer | Fault::Delay(_) | Fault::Body(_)) | None => {}
    }
    let place = format!("{} {}", head.method, head.uri);
    let reply = match keyed(&route, key, &place, &body, books).await {
        Ok(reply) | Err(reply) => reply,
    };
    match fault {
        Some(Fault::LoseAnswer) => Err(CutOnPurpose),
        Some(Fault::Body(body)) => Ok(text(200, "application/json", body)),
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            Ok(json(&reply))
        }
        _ => Ok(json(&reply)),
    }
}

/// A write is done under its key: known with another request, it is a conflict and nothing is done.
async fn keyed(
    route: &Route<'_>,
    key: Option<&str>,
    place: &str,
    body: &str,
    books: &Books,
) -> Result<Reply, Reply> {
    if route.operation == Operation::Reset {
        books.keys.lock().await.clear();
        books.reset();
    }
    if !route.operation.is_write() || route.operation == Operation::Reset {
        return route.work(&books.ledger(), Value::Null).await;
    }
    let body: Value = serde_json::from_str(body)
        .map_err(|error| Reply::error(400, "invalid_request", &error.to_string()))?;
    if !route.operation.is_keyed() {
        return route.work(&books.ledger(), body).await;
    }
    let Some(key) = key else {
        return Err(Reply::error(400, "invalid_request", "this write needs an idempotency-key"));
    };
    let fingerprint = format!("{place} {}", what_was_asked(route.operation, body.clone()));
    let mut keys = books.keys.lock().await;
    if keys.get(key).is_some_and(|seen| *seen != fingerprint) {
        return Err(Reply::error(409, "conflict", "the key was used for another request"));
    }
    // A repeat does the work again: the ledger knows that it is done, and answers with what is
    // there now.
    let reply = route.work(&books.ledger(), body).await?;
    keys.insert(key.to_owned(), fingerprint);
    Ok(reply)
}

/// When a call was made is not part of what was asked, nor, once a grant is given, when a repeat of
/// it would have it run out.
fn what_was_asked(operation: Operation, mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.remove("at_unix_ms");
        if operation == Operation::Credit {
            members.remove("priority");
            members.remove("expires_at_unix_ms");
        }
    }
    body
}

fn is_authorized(headers: &HeaderMap, secret: &str) -> bool {
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    sent.and_then(|sent| sent.strip_prefix("Bearer ")) == Some(secret)
}

fn json(reply: &Reply) -> Response<Full<Bytes>> {
    text(reply.status, "application/json", reply.body.to_string())
}

fn text(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
