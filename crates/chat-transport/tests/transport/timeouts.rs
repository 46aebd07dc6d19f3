//! The time-outs, on tokio's paused clock: each fires when it should and at no other time.

use std::time::Duration;

use chat_transport::{
    ScriptedReply, ScriptedStep, ScriptedTransport, SseEvent, SseLimits, SseStream, Timeouts,
    TransportAdapter, TransportError, TransportErrorKind, TransportPhase, TransportRequest,
    TransportResponse,
};
use futures::StreamExt;
use tokio::time::Instant;

fn request() -> TransportRequest {
    TransportRequest::post("http://provider.test/v1/chat/completions", "{}")
}

async fn open(reply: ScriptedReply) -> Result<TransportResponse, TransportError> {
    ScriptedTransport::new([reply]).send(request()).await
}

/// Reads to the end; the number of reads, and the error if there was one.
async fn drain(response: TransportResponse) -> (usize, Option<TransportErrorKind>) {
    let mut body = response.body;
    let mut reads = 0;
    while let Some(read) = body.next().await {
        match read {
            Ok(_) => reads += 1,
            Err(error) => {
                assert_eq!(error.phase(), TransportPhase::Streaming);
                assert!(body.next().await.is_none(), "an error is the last item");
                return (reads, Some(error.kind()));
            }
        }
    }
    (reads, None)
}

#[tokio::test(start_paused = true)]
async fn late_headers_are_a_first_byte_timeout() {
    let started = Instant::now();
    let late = ScriptedReply::event_stream().before_head(ScriptedStep::WaitMs(61_000));
    let error = open(late).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (TransportErrorKind::FirstByteTimeout, TransportPhase::Ambiguous)
    );
    assert_eq!(started.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn slow_headers_within_their_time_are_fine() {
    let slow = ScriptedReply::event_stream().before_head(ScriptedStep::WaitMs(59_000));
    assert!(open(slow).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_body_is_an_idle_timeout() {
    let reply = ScriptedReply::event_stream().read("data:1\n\n").step(ScriptedStep::Hang);
    let response = open(reply).await.unwrap();
    let started = Instant::now();
    assert_eq!(drain(response).await, (1, Some(TransportErrorKind::IdleTimeout)));
    assert_eq!(started.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn v6_a_byte_a_second_for_ten_minutes_is_fine() {
    let mut reply = ScriptedReply::event_stream();
    for _ in 0..600 {
        reply = reply.step(ScriptedStep::WaitMs(1_000)).read("x");
    }
    assert_eq!(drain(open(reply).await.unwrap()).await, (600, None));
}

#[tokio::test(start_paused = true)]
async fn v6_sixty_one_seconds_of_silence_are_too_much() {
    let reply =
        ScriptedReply::event_stream().read("x").step(ScriptedStep::WaitMs(61_000)).read("x");
    let end = drain(open(reply).await.unwrap()).await;
    assert_eq!(end, (1, Some(TransportErrorKind::IdleTimeout)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_idle_provider() {
    let reply = ScriptedReply::event_stream().read("a").read("b");
    let mut body = open(reply).await.unwrap().body;
    assert!(body.next().await.unwrap().is_ok());
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(body.next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_total_time_bounds_a_body_that_never_pauses_long() {
    let mut reply = ScriptedReply::event_stream();
    for _ in 0..100 {
        reply = reply.step(ScriptedStep::WaitMs(30_000)).read("x");
    }
    let started = Instant::now();
    let (reads, end) = drain(open(reply).await.unwrap()).await;
    assert_eq!(end, Some(TransportErrorKind::TotalTimeout));
    assert!((59..=60).contains(&reads), "{reads}");
    assert_eq!(started.elapsed(), Duration::from_secs(1_800));
}

#[tokio::test(start_paused = true)]
async fn the_total_time_bounds_the_wait_for_headers() {
    let late = ScriptedReply::event_stream().before_head(ScriptedStep::Hang);
    let timeouts = Timeouts { total_ms: 1_000, ..Timeouts::default() };
    let transport = ScriptedTransport::new([late]);
    let error = transport.send(TransportRequest { timeouts, ..request() }).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TotalTimeout);
    assert!(!error.is_transient(), "our own deadline is never retried");
}

#[tokio::test(start_paused = true)]
async fn endless_waits_in_a_config_do_not_overflow_the_clock() {
    let endless = Timeouts {
        connect_ms: u64::MAX,
        first_byte_ms: u64::MAX,
        idle_ms: u64::MAX,
        progress_ms: u64::MAX,
        total_ms: u64::MAX,
    };
    let reply = ScriptedReply::event_stream().step(ScriptedStep::WaitMs(10)).read("x");
    let transport = ScriptedTransport::new([reply]);
    let response =
        transport.send(TransportRequest { timeouts: endless, ..request() }).await.unwrap();
    assert_eq!(drain(response).await, (1, None));
}

fn is_content(event: &SseEvent) -> bool {
    event.event != "ping"
}

/// Pings every 10 s for 10 min, with content after each of `content_at` pings.
async fn ping_for_ten_minutes(content_at: &[usize]) -> (Duration, Option<TransportErrorKind>) {
    let mut reply = ScriptedReply::event_stream();
    for ping in 0..60 {
        reply = reply.step(ScriptedStep::WaitMs(10_000)).read(if ping % 2 == 0 {
            ": ping\n\n"
        } else {
            "event: ping\ndata: {}\n\n"
        });
        if content_at.contains(&ping) {
            reply = reply.read("data: delta\n\n");
        }
    }
    let response = open(reply).await.unwrap();
    let started = Instant::now();
    let mut events = SseStream::new(response.body, SseLimits::default())
        .with_progress_rule(&Timeouts::default(), is_content);
    while let Some(batch) = events.next().await {
        if let Err(error) = batch {
            return (started.elapsed(), Some(error.kind()));
        }
    }
    (started.elapsed(), None)
}

#[tokio::test(start_paused = true)]
async fn v6_pings_without_content_are_no_progress() {
    let end = ping_for_ten_minutes(&[]).await;
    assert_eq!(end, (Duration::from_secs(300), Some(TransportErrorKind::ProgressTimeout)));
    let end = ping_for_ten_minutes(&[9]).await;
    assert_eq!(end, (Duration::from_secs(400), Some(TransportErrorKind::ProgressTimeout)));
}

#[tokio::test(start_paused = true)]
async fn v6_content_now_and_then_keeps_a_reply_alive() {
    let end = ping_for_ten_minutes(&[20, 40]).await;
    assert_eq!(end, (Duration::from_secs(600), None));
}
