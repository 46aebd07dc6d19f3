//! Statuses and codes as kinds, with a remedy and without anybody's words.

use chat_provider::{Exposure, ProviderErrorKind as Kind};
use chat_transport::{ScriptedReply, TransportError, TransportErrorKind, TransportPhase};
use http::header::{HeaderName, HeaderValue};

use crate::support::{KEY, WatchingGate, call, call_with, hi, local_config, openai_config, status};

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_kind_and_owes_nothing() {
    let code = |code: &str| format!(r#"{{"error":{{"message":"m","type":"t","code":"{code}"}}}}"#);
    let prose = |message: &str| format!(r#"{{"error":{{"message":"{message}","code":null}}}}"#);
    let cases = [
        (401, include_str!("../recordings/openai-bad-key.json").to_owned(), Kind::Unauthorized),
        (403, "{}".to_owned(), Kind::Unauthorized),
        (404, code("model_not_found"), Kind::UnknownModel),
        (403, code("model_not_found"), Kind::UnknownModel),
        (404, include_str!("../recordings/ollama-no-model.json").to_owned(), Kind::UnknownModel),
        (404, "404 page not found".to_owned(), Kind::InvalidRequest),
        (400, code("context_length_exceeded"), Kind::ContextTooLong),
        (
            400,
            include_str!("../recordings/llamacpp-too-long.json").to_owned(),
            Kind::ContextTooLong,
        ),
        (400, prose("This model's maximum context length is 4096 tokens"), Kind::ContextTooLong),
        (400, code("content_policy_violation"), Kind::ContentFiltered),
        (400, "not json".to_owned(), Kind::InvalidRequest),
        (402, "{}".to_owned(), Kind::QuotaExhausted),
        (413, "{}".to_owned(), Kind::InvalidRequest),
        (422, r#"{"error":"bad","detail":[]}"#.to_owned(), Kind::InvalidRequest),
        (429, code("insufficient_quota"), Kind::QuotaExhausted),
        (429, code("rate_limit_exceeded"), Kind::RateLimited),
        (408, "{}".to_owned(), Kind::Timeout),
        (409, "{}".to_owned(), Kind::Unavailable),
        (500, "{}".to_owned(), Kind::Unavailable),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#
                .to_owned(),
            Kind::Unavailable,
        ),
        (529, "{}".to_owned(), Kind::Unavailable),
        (307, String::new(), Kind::Protocol),
    ];
    for (code, body, kind) in cases {
        let outcome = call(vec![status(code, &body); 3]).await;
        let error = outcome.error.unwrap();
        assert_eq!(
            (error.kind(), error.exposure(), error.status()),
            (kind, Exposure::None, Some(code)),
            "{code} {body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_network_name_the_host_and_what_may_be_owed() {
    use TransportErrorKind as Cause;
    use TransportPhase as Phase;
    let cases = [
        (Cause::Connect, Phase::NothingSent, Kind::Unavailable, Exposure::None),
        (Cause::ConnectTimeout, Phase::NothingSent, Kind::Unavailable, Exposure::None),
        (Cause::Tls, Phase::NothingSent, Kind::Unavailable, Exposure::None),
        (Cause::FirstByteTimeout, Phase::Ambiguous, Kind::Timeout, Exposure::Unknown),
        (Cause::Reset, Phase::Ambiguous, Kind::Unavailable, Exposure::Unknown),
        (Cause::TotalTimeout, Phase::Ambiguous, Kind::Timeout, Exposure::Unknown),
        (Cause::InvalidRequest, Phase::NothingSent, Kind::InvalidRequest, Exposure::None),
    ];
    for (cause, phase, kind, exposure) in cases {
        let reply = ScriptedReply::failure(TransportError::new(cause, phase));
        let error = call(vec![reply; 3]).await.error.unwrap();
        assert_eq!((error.kind(), error.exposure()), (kind, exposure), "{cause:?}");
        assert!(error.to_string().contains("127.0.0.1:8080"), "{error}");
    }
}

#[tokio::test]
async fn the_remedy_names_the_key_and_nothing_shows_it() {
    let body = include_str!("../recordings/openai-bad-key.json");
    let reply = status(401, body)
        .header(HeaderName::from_static("x-request-id"), HeaderValue::from_static("req_7"));
    let gate = WatchingGate::default();
    let outcome = call_with(openai_config(), &hi("gpt-4o-mini"), gate, vec![reply]).await;
    let error = outcome.error.as_ref().unwrap();
    assert_eq!(
        error.to_string(),
        "api.openai.com refused the key (401, invalid_api_key): check OPENAI_API_KEY"
    );
    assert_eq!(error.request_id(), Some("req_7"));
    let request = &outcome.transport.requests()[0];
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    for shown in [format!("{error:?}"), format!("{request:?}"), format!("{:?}", request.headers)] {
        assert!(!shown.contains("sk-"), "{shown}");
    }
}

#[tokio::test]
async fn a_missing_key_is_told_before_anything_is_journaled_or_sent() {
    let mut config = openai_config();
    config.api_key = None;
    config.key_name = "providers.openai.api_key".to_owned();
    let gate = WatchingGate::default();
    let outcome = call_with(config, &hi("gpt-4o-mini"), gate, Vec::new()).await;
    assert_eq!(
        outcome.error.unwrap().to_string(),
        "api.openai.com wants a key: set providers.openai.api_key"
    );
    assert!(outcome.gate.is_empty());
    assert!(outcome.transport.requests().is_empty());
    // A server without keys gets none.
    let outcome =
        call_with(local_config(), &hi("smollm2"), WatchingGate::default(), Vec::new()).await;
    assert!(!outcome.transport.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test(start_paused = true)]
async fn nobodys_words_are_in_an_error() {
    let body = r#"{"error":{"message":"cannot say 'my diary'","type":"my diary","code":"my diary","param":"my diary"}}"#;
    for code in [400, 404, 500] {
        let outcome = call(vec![status(code, body); 3]).await;
        let error = outcome.error.unwrap();
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(shown) = source {
            assert!(!format!("{shown} {shown:?}").contains("diary"), "{shown:?}");
            source = shown.source();
        }
    }
}
