//! The loop: the gate before every attempt, the waits the rule gives, and nothing after the commit point.

use std::sync::Mutex;

use async_trait::async_trait;
use chat_transport::{
    BreakerState, GateRefused, GiveUpReason, OpenGate, ProviderHealth, RetryError, RetryGate,
    RetryPolicy, RetryRun, RetryTime, ScriptedReply, ScriptedTransport, TokioRetryTime,
    TransportAdapter, TransportError, TransportErrorKind as Kind, TransportPhase as Phase,
    TransportRequest, with_retry,
};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

/// Everything that happened, in order.
#[derive(Debug, Default)]
struct Journal {
    lines: Mutex<Vec<String>>,
    refuse_attempt: u32,
    now_ms: Mutex<u64>,
}

impl Journal {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

#[async_trait]
impl RetryGate for Journal {
    async fn admit(&self, attempt: u32, ambiguous: bool) -> Result<(), GateRefused> {
        self.note(format!("gate {attempt} {ambiguous}"));
        if attempt == self.refuse_attempt {
            return Err(GateRefused::new("no credit").with_source("ledger says no"));
        }
        Ok(())
    }
}

#[async_trait]
impl RetryTime for Journal {
    fn now_ms(&self) -> u64 {
        *self.now_ms.lock().unwrap()
    }

    fn jitter(&self) -> u64 {
        u64::MAX
    }

    async fn sleep_ms(&self, wait_ms: u64) {
        self.note(format!("wait {wait_ms}"));
        *self.now_ms.lock().unwrap() += wait_ms;
    }
}

fn error(kind: Kind, phase: Phase) -> TransportError {
    TransportError::new(kind, phase)
}

/// Runs the loop over a script; the status of the reply, or the error.
async fn run(
    journal: &Journal,
    health: Option<&ProviderHealth>,
    replies: Vec<ScriptedReply>,
) -> Result<StatusCode, RetryError<TransportError>> {
    let policy = RetryPolicy::default();
    let run = RetryRun { policy: &policy, gate: journal, time: journal, health, deadline_ms: None };
    let transport = ScriptedTransport::new(replies);
    let result = with_retry(&run, async |attempt| {
        journal.note(format!("send {attempt}"));
        let request = TransportRequest::post("http://provider.test", "{}");
        let response = transport.send(request).await?.error_for_status().await?;
        Ok(response.status)
    })
    .await;
    journal.note(format!("requests {}", transport.requests().len()));
    result
}

fn overloaded() -> ScriptedReply {
    ScriptedReply::json(StatusCode::SERVICE_UNAVAILABLE, "{}")
}

#[tokio::test]
async fn every_attempt_passes_the_gate_first() {
    let journal = Journal::default();
    let replies = vec![overloaded(), overloaded(), ScriptedReply::event_stream()];
    assert_eq!(run(&journal, None, replies).await.unwrap(), StatusCode::OK);
    let expected = [
        "gate 1 false",
        "send 1",
        "wait 500",
        "gate 2 false",
        "send 2",
        "wait 1000",
        "gate 3 false",
        "send 3",
        "requests 3",
    ];
    assert_eq!(journal.lines(), expected);
}

#[tokio::test]
async fn the_gate_learns_that_the_attempt_before_may_have_cost() {
    let journal = Journal::default();
    let lost = ScriptedReply::failure(error(Kind::Reset, Phase::Ambiguous));
    let replies = vec![lost.clone(), lost, ScriptedReply::event_stream()];
    let failed = run(&journal, None, replies).await.unwrap_err();
    let RetryError::GaveUp { error, reason, attempts } = failed else {
        panic!("{failed:?}");
    };
    assert_eq!((error.kind(), reason, attempts), (Kind::Reset, GiveUpReason::RetriesUsedUp, 2));
    let expected = ["gate 1 false", "send 1", "wait 500", "gate 2 true", "send 2", "requests 2"];
    assert_eq!(journal.lines(), expected);
}

#[tokio::test]
async fn a_refused_attempt_is_never_sent() {
    let journal = Journal { refuse_attempt: 1, ..Journal::default() };
    let failed = run(&journal, None, vec![ScriptedReply::event_stream()]).await.unwrap_err();
    assert!(matches!(failed, RetryError::Refused { attempt: 1, last_error: None, .. }));
    assert_eq!(journal.lines(), ["gate 1 false", "requests 0"]);
}

#[tokio::test]
async fn a_refused_retry_keeps_the_error_before_and_the_gates_own() {
    let journal = Journal { refuse_attempt: 2, ..Journal::default() };
    let lost = ScriptedReply::failure(error(Kind::FirstByteTimeout, Phase::Ambiguous));
    let failed = run(&journal, None, vec![lost]).await.unwrap_err();
    let RetryError::Refused { refused, attempt, last_error } = failed else {
        panic!("{failed:?}");
    };
    assert_eq!((refused.reason(), attempt), ("no credit", 2));
    assert_eq!(refused.into_source().unwrap().to_string(), "ledger says no");
    assert_eq!(last_error.unwrap().kind(), Kind::FirstByteTimeout);
    assert_eq!(journal.lines().last().unwrap(), "requests 1");
}

#[tokio::test]
async fn a_final_failure_ends_the_loop_at_once() {
    let journal = Journal::default();
    let replies = vec![ScriptedReply::json(StatusCode::UNAUTHORIZED, "no"), overloaded()];
    let failed = run(&journal, None, replies).await.unwrap_err();
    assert!(matches!(
        failed,
        RetryError::GaveUp { reason: GiveUpReason::NotRetryable, attempts: 1, .. }
    ));
    assert_eq!(journal.lines(), ["gate 1 false", "send 1", "requests 1"]);
}

#[tokio::test]
async fn the_providers_wait_is_kept() {
    let journal = Journal::default();
    let name = HeaderName::from_static("retry-after");
    let busy = ScriptedReply::json(StatusCode::TOO_MANY_REQUESTS, "slow down")
        .header(name, HeaderValue::from_static("7"));
    run(&journal, None, vec![busy, ScriptedReply::event_stream()]).await.unwrap();
    assert_eq!(journal.lines()[2], "wait 7000");
}

#[tokio::test]
async fn an_open_breaker_sends_nothing_and_journals_nothing() {
    let health = ProviderHealth::default();
    let failure = chat_transport::Failure::refused(503);
    for _ in 0..20 {
        health.record_failure(&failure, 0);
    }
    assert_eq!(health.breaker_state(), BreakerState::Open);
    let journal = Journal::default();
    let failed = run(&journal, Some(&health), vec![overloaded()]).await.unwrap_err();
    let RetryError::BreakerOpen(open) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(open.retry_after_ms, 5_000);
    assert_eq!(journal.lines(), ["requests 0"]);
}

#[tokio::test]
async fn a_breaker_that_opens_during_the_wait_stops_the_retries() {
    let health = ProviderHealth::default();
    for _ in 0..19 {
        health.record_failure(&chat_transport::Failure::refused(503), 0);
    }
    let journal = Journal::default();
    let failed = run(&journal, Some(&health), vec![overloaded(), overloaded()]).await.unwrap_err();
    assert!(matches!(
        failed,
        RetryError::GaveUp { reason: GiveUpReason::BreakerOpen, attempts: 1, .. }
    ));
    assert_eq!(journal.lines(), ["gate 1 false", "send 1", "wait 500", "requests 1"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_loop_stops_it_in_any_wait() {
    let time = TokioRetryTime::new(1);
    let policy = RetryPolicy::default();
    let run =
        RetryRun { policy: &policy, gate: &OpenGate, time: &time, health: None, deadline_ms: None };
    let attempts = Mutex::new(0);
    let hopeless = with_retry(&run, async |_| {
        *attempts.lock().unwrap() += 1;
        Err::<(), _>(
            error(Kind::Status, Phase::Headers).with_status(StatusCode::SERVICE_UNAVAILABLE),
        )
    });
    let immediately = Instant::now();
    assert!(tokio::time::timeout_at(immediately, hopeless).await.is_err());
    assert_eq!(*attempts.lock().unwrap(), 1);
}
