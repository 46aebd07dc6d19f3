//! The in-memory port: scripts play in order, requests are kept, abandoned bodies are counted.

use bytes::Bytes;
use chat_transport::{
    RecordingTransport, ScriptedReply, ScriptedTransport, TransportAdapter, TransportErrorKind,
    TransportPhase, TransportRequest,
};
use futures::StreamExt;
use http::StatusCode;

fn request(body: &'static str) -> TransportRequest {
    TransportRequest::post("http://provider.test", body)
}

#[tokio::test]
async fn a_script_plays_in_order_and_keeps_what_was_sent() {
    let script = ScriptedTransport::new([ScriptedReply::json(StatusCode::OK, "one")]);
    script.push(ScriptedReply::json(StatusCode::CREATED, "two"));
    let transport = RecordingTransport::new(script.clone());
    let first = transport.send(request("a")).await.unwrap();
    assert_eq!(first.read_full(10).await.unwrap(), "one");
    assert_eq!(transport.send(request("b")).await.unwrap().status, StatusCode::CREATED);
    let beyond = transport.send(request("c")).await.unwrap_err();
    assert_eq!(
        (beyond.kind(), beyond.phase()),
        (TransportErrorKind::InvalidRequest, TransportPhase::NothingSent)
    );
    let bodies: Vec<Bytes> = transport.requests().into_iter().map(|sent| sent.body).collect();
    assert_eq!(bodies, ["a", "b", "c"]);
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_counted() {
    let reply = || ScriptedReply::event_stream().read("a").read("b");
    let script = ScriptedTransport::new([reply(), reply()]);
    let whole: Vec<_> = script.send(request("")).await.unwrap().body.collect().await;
    assert_eq!((whole.len(), script.bodies_abandoned()), (2, 0));
    let mut cut = script.send(request("")).await.unwrap().body;
    assert!(cut.next().await.unwrap().is_ok());
    drop(cut);
    assert_eq!(script.bodies_abandoned(), 1);
}

#[tokio::test]
async fn a_whole_reply_is_bounded() {
    let reply = || ScriptedReply::json(StatusCode::OK, "12345").read("67890");
    let script = ScriptedTransport::new([reply(), reply()]);
    let whole = script.send(request("")).await.unwrap().read_full(10).await.unwrap();
    assert_eq!(whole, "1234567890");
    let error = script.send(request("")).await.unwrap().read_full(9).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TooLarge);
    assert_eq!(script.bodies_abandoned(), 1);
}

#[tokio::test]
async fn an_errors_body_is_kept_up_to_64_kib() {
    let page = "x".repeat(50_000);
    let reply = ScriptedReply::json(StatusCode::BAD_GATEWAY, page.clone()).read(page);
    let script = ScriptedTransport::new([reply]);
    let error = script.send(request("")).await.unwrap().error_for_status().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(error.body().len(), 65_536);
}
