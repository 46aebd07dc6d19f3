//! What an error shows and what it never shows; what response headers mean.

use std::error::Error;

use bytes::Bytes;
use chat_transport::{
    ResponseHints, TransportError, TransportErrorKind, TransportPhase, TransportRequest,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn an_error_shows_kind_phase_and_status_and_never_the_body() {
    let error = TransportError::new(TransportErrorKind::Status, TransportPhase::Headers)
        .with_status(StatusCode::UNAUTHORIZED)
        .with_hints(ResponseHints::from_headers(&headers(&[("x-request-id", "req-1")])))
        .with_body(Bytes::from_static(b"bad key sk-secret"));
    assert_eq!(error.to_string(), "transport failed (Status, Headers, status 401)");
    assert!(!format!("{error:?}").contains("sk-secret"));
    assert_eq!(error.body().as_ref(), b"bad key sk-secret");
    assert_eq!(error.request_id(), Some("req-1"));
    assert!(!error.is_transient());
}

#[test]
fn a_source_is_kept_and_not_repeated() {
    let error = TransportError::new(TransportErrorKind::Connect, TransportPhase::NothingSent)
        .with_source("no route");
    assert_eq!(error.to_string(), "transport failed (Connect, NothingSent)");
    assert_eq!(error.source().unwrap().to_string(), "no route");
    assert!(error.is_transient());
}

#[test]
fn a_request_shows_neither_keys_nor_text() {
    let mut request = TransportRequest::post(
        "https://user:pw-secret@host.test:8443/p?key=q-secret",
        "text-secret",
    );
    request.headers = headers(&[("authorization", "Bearer h-secret")]);
    let shown = format!("{request:?}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("host.test:8443") && shown.contains("authorization"), "{shown}");
}

#[test]
fn waits_are_read_in_both_units_and_rounded_up() {
    let wait = |pairs: &[(&'static str, &'static str)]| {
        ResponseHints::from_headers(&headers(pairs)).retry_after_ms
    };
    assert_eq!(wait(&[("retry-after", "2")]), Some(2_000));
    assert_eq!(wait(&[("retry-after", " 1.5 ")]), Some(1_500));
    assert_eq!(wait(&[("retry-after", "0.0001")]), Some(1));
    assert_eq!(wait(&[("retry-after-ms", "12.5")]), Some(13));
    assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "40")]), Some(40));
    assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "soon")]), Some(9_000));
    for unreadable in [
        "",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "soon",
        ".5",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "99999999999999999999",
    ] {
        assert_eq!(wait(&[("retry-after", unreadable)]), None, "{unreadable}");
    }
}

#[test]
fn the_providers_verdict_is_true_false_or_absent() {
    let verdict = |value| ResponseHints::from_headers(&headers(&[("x-should-retry", value)]));
    assert_eq!(verdict("true").should_retry, Some(true));
    assert_eq!(verdict("false").should_retry, Some(false));
    assert_eq!(verdict("yes").should_retry, None);
    assert_eq!(ResponseHints::from_headers(&HeaderMap::new()), ResponseHints::default());
}
