//! When a call is sent again, what the gate hears, and that no text is ever told twice.

use chat_provider::{Exposure, ProviderErrorKind};
use chat_transport::{
    ScriptedReply, ScriptedStep, TransportError, TransportErrorKind, TransportPhase,
};
use http::header::{HeaderName, HeaderValue};

use crate::support::{
    DONE, WatchingGate, call, call_with, chunk, finish, hi, local_config, sse, status,
};

fn good() -> ScriptedReply {
    sse(format!("{}{}{DONE}", chunk(r#"{"content":"good"}"#), finish("stop")))
}

fn failing(kind: TransportErrorKind, phase: TransportPhase) -> ScriptedReply {
    ScriptedReply::failure(TransportError::new(kind, phase))
}

const OVERLOADED: &str = "data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n";

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_delta_is_sent_again_and_the_gate_hears_what_it_may_have_cost() {
    let role = chunk(r#"{"role":"assistant","content":""}"#);
    let cases = [
        (failing(TransportErrorKind::Connect, TransportPhase::NothingSent), Exposure::None),
        (failing(TransportErrorKind::Reset, TransportPhase::PartlySent), Exposure::None),
        (failing(TransportErrorKind::Reset, TransportPhase::Ambiguous), Exposure::Unknown),
        (ScriptedReply::event_stream().before_head(ScriptedStep::Hang), Exposure::Unknown),
        (status(503, "{}"), Exposure::None),
        (status(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#), Exposure::None),
        (status(529, "busy"), Exposure::None),
        (sse(OVERLOADED), Exposure::Unknown),
        (sse(format!("{role}{OVERLOADED}")), Exposure::Unknown),
        (sse(role.clone()), Exposure::Unknown),
        (sse(""), Exposure::Unknown),
        (sse(role).step(ScriptedStep::Hang), Exposure::Unknown),
    ];
    for (reply, exposure) in cases {
        let outcome = call(vec![reply.clone(), good()]).await;
        assert_eq!(outcome.text(), "good", "{reply:?}");
        assert_eq!(outcome.gate, [(1, None), (2, Some(exposure))], "{reply:?}");
        let requests = outcome.transport.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].body, requests[1].body);
        assert_eq!(requests[0].headers, requests[1].headers);
        assert_eq!(requests[0].headers["idempotency-key"], "turn-1-2");
    }
}

#[tokio::test(start_paused = true)]
async fn no_text_is_told_twice_wherever_the_first_attempt_fails() {
    let words: Vec<String> = (0..20).map(|word| format!("w{word} ")).collect();
    for deltas in 0..=words.len() {
        for end in 0..3 {
            let said = &words[..deltas];
            let mut reply = ScriptedReply::event_stream();
            for word in said {
                reply = reply.read(chunk(&format!("{{\"content\":\"{word}\"}}")));
            }
            reply = match end {
                0 => reply.read(OVERLOADED),
                1 => reply,
                _ => reply.step(ScriptedStep::Fail(TransportError::new(
                    TransportErrorKind::Reset,
                    TransportPhase::Streaming,
                ))),
            };
            let outcome = call(vec![reply, good()]).await;
            if deltas == 0 {
                assert_eq!((outcome.text().as_str(), outcome.gate.len()), ("good", 2));
            } else {
                assert_eq!((outcome.text(), outcome.gate.len()), (said.concat(), 1));
                assert_eq!(outcome.finished(), None);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_sent_once() {
    let quota =
        r#"{"error":{"message":"no","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    for (code, body) in [(400, "{}"), (401, "{}"), (404, "{}"), (422, "{}"), (429, quota)] {
        let outcome = call(vec![status(code, body), good()]).await;
        assert_eq!(outcome.transport.requests().len(), 1, "{code}");
        assert_eq!(outcome.error.unwrap().exposure(), Exposure::None);
    }
    let no = status(503, "{}")
        .header(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    assert_eq!(call(vec![no, good()]).await.transport.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_passed_on() {
    let busy = status(429, "{}")
        .header(HeaderName::from_static("retry-after"), HeaderValue::from_static("300"));
    let outcome = call(vec![busy, good()]).await;
    assert_eq!(outcome.transport.requests().len(), 1);
    let error = outcome.error.unwrap();
    assert_eq!(
        (error.kind(), error.retry_after_ms(), error.status(), error.is_transient()),
        (ProviderErrorKind::RateLimited, Some(300_000), Some(429), true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_refuses_sends_nothing_more_and_keeps_what_is_owed() {
    let cases = [
        (1, good(), 0, Exposure::None),
        (2, status(503, "{}"), 1, Exposure::None),
        (2, sse(OVERLOADED), 1, Exposure::Unknown),
    ];
    for (refuse_from, reply, requests, exposure) in cases {
        let gate = WatchingGate { refuse_from: Some(refuse_from), ..WatchingGate::default() };
        let outcome = call_with(local_config(), &hi("smollm2"), gate, vec![reply, good()]).await;
        assert_eq!(outcome.transport.requests().len(), requests);
        let error = outcome.error.unwrap();
        assert_eq!((error.kind(), error.exposure()), (ProviderErrorKind::GateRefused, exposure));
    }
}

#[tokio::test]
async fn dropping_the_reply_closes_the_connection() {
    use std::sync::Arc;

    use chat_provider::{ModelProvider, OpenGate};
    use chat_provider_openai::OpenAiProvider;
    use chat_transport::ScriptedTransport;
    use futures::StreamExt;

    let transport =
        ScriptedTransport::new([sse(chunk(r#"{"content":"a"}"#)).step(ScriptedStep::Hang)]);
    let provider = OpenAiProvider::new(local_config(), Arc::new(transport.clone())).unwrap();
    let prepared = provider.prepare(&hi("smollm2")).unwrap();
    let permit = crate::support::permit(64, Arc::new(OpenGate));
    let mut stream = provider.send_completion(&prepared, &permit).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(transport.bodies_abandoned(), 0);
    drop(stream);
    assert_eq!(transport.bodies_abandoned(), 1);
}
