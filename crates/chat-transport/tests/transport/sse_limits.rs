//! X1, batches and errors of the event decoder: nothing grows without bound, nothing is lost or delayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chat_transport::{
    BodyStream, SseEvent, SseLimits, SseStream, TransportError, TransportErrorKind, TransportPhase,
};
use futures::{FutureExt, StreamExt};

use crate::obvious_parser::{decode, decode_within};

const SMALL: SseLimits = SseLimits {
    line_bytes_max: 100,
    event_bytes_max: 1_000,
    batch_events_max: 4,
    batch_bytes_max: 256,
};

fn kind(result: Result<Vec<SseEvent>, TransportError>) -> TransportErrorKind {
    result.unwrap_err().kind()
}

fn ready_body(reads: Vec<Result<Bytes, TransportError>>) -> BodyStream {
    Box::pin(futures::stream::iter(reads))
}

fn data(batch: &[SseEvent]) -> Vec<&str> {
    batch.iter().map(|event| event.data.as_str()).collect()
}

#[test]
fn x1_a_line_up_to_its_bound_passes_and_one_byte_more_is_refused() {
    let longest = format!("data:{}\n\n", "x".repeat(95));
    assert_eq!(decode_within(&[longest.as_bytes()], SMALL).unwrap().len(), 1);
    let longer = format!("data:{}\n\n", "x".repeat(96));
    assert_eq!(kind(decode_within(&[longer.as_bytes()], SMALL)), TransportErrorKind::TooLarge);
    let bytes: Vec<_> = longer.as_bytes().chunks(1).collect();
    assert_eq!(kind(decode_within(&bytes, SMALL)), TransportErrorKind::TooLarge);
}

#[test]
fn x1_a_line_without_an_end_is_refused_before_it_is_kept() {
    let read = vec![b'x'; 64 * 1024];
    let reads: Vec<&[u8]> = std::iter::repeat_n(read.as_slice(), 17).collect();
    assert_eq!(kind(decode(&reads)), TransportErrorKind::TooLarge);
    assert_eq!(decode(&reads[..16]).unwrap(), []);
}

#[test]
fn x1_an_event_above_its_bound_is_refused() {
    let line = format!("data:{}\n", "x".repeat(1_000_000));
    let reads: Vec<&[u8]> = std::iter::repeat_n(line.as_bytes(), 9).collect();
    let error = decode(&reads).unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (TransportErrorKind::TooLarge, TransportPhase::Streaming)
    );
    assert!(!error.is_transient());
}

#[test]
fn x1_comments_do_not_count_as_part_of_an_event() {
    let mut wire = ":ping\n".repeat(1_000);
    wire.push_str("data:1\n\n");
    assert_eq!(data(&decode_within(&[wire.as_bytes()], SMALL).unwrap()), ["1"]);
}

#[test]
fn x1_ten_thousand_data_lines_are_one_event() {
    let wire = "data:x\n".repeat(10_000) + "\n";
    let events = decode(&[wire.as_bytes()]).unwrap();
    assert_eq!(data(&events), [vec!["x"; 10_000].join("\n")]);
}

#[test]
fn x1_a_million_blank_lines_are_nothing() {
    assert_eq!(decode(&[&vec![b'\n'; 1_000_000]]).unwrap(), []);
}

#[test]
fn x1_a_million_empty_events_come_in_small_batches() {
    let wire = Bytes::from("data:\n\n".repeat(1_000_000));
    let mut stream = SseStream::new(ready_body(vec![Ok(wire)]), SseLimits::default());
    let mut count = 0;
    while let Some(batch) = stream.next().now_or_never().unwrap() {
        let batch = batch.unwrap();
        assert!(batch.len() <= 256);
        count += batch.len();
    }
    assert_eq!(count, 1_000_000);
}

#[test]
fn a_batch_ends_at_its_bound_in_bytes() {
    let wire = Bytes::from(format!("data:{}\n\n", "x".repeat(90)).repeat(10));
    let stream = SseStream::new(ready_body(vec![Ok(wire)]), SMALL);
    let batches: Vec<_> =
        stream.map(|batch| batch.unwrap().len()).collect().now_or_never().unwrap();
    assert_eq!(batches, [3, 3, 3, 1]);
}

#[tokio::test]
async fn one_network_read_is_one_batch_and_is_not_held_back() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<&'static str>(1);
    let body = futures::stream::unfold(receiver, async |mut receiver| {
        let read = receiver.recv().await?;
        Some((Ok(Bytes::from_static(read.as_bytes())), receiver))
    });
    let mut stream = SseStream::new(Box::pin(body), SseLimits::default());
    sender.send("data:1\n\ndata:2\n\ndata:3\n\ndata:4").await.unwrap();
    assert_eq!(data(&stream.next().await.unwrap().unwrap()), ["1", "2", "3"]);
    assert!(stream.next().now_or_never().is_none());
    sender.send("\n\n").await.unwrap();
    assert_eq!(data(&stream.next().await.unwrap().unwrap()), ["4"]);
    drop(sender);
    assert!(stream.next().await.is_none());
    assert!(stream.next().await.is_none());
}

#[test]
fn events_before_an_error_come_first_and_the_error_is_last() {
    let cut = TransportError::new(TransportErrorKind::Reset, TransportPhase::Streaming);
    let reads = vec![Ok(Bytes::from("data:1\n\ndata:2\n\ndata:3")), Err(cut)];
    let mut stream = SseStream::new(ready_body(reads), SseLimits::default());
    let batch = stream.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(data(&batch), ["1", "2"]);
    let error = stream.next().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Reset);
    assert!(stream.next().now_or_never().unwrap().is_none());
}

#[test]
fn repaired_lines_are_counted() {
    let reads = vec![Ok(Bytes::from_static(b"data:a\xFFb\xFF\ndata:ok\ndata:\xC3\n\n"))];
    let mut stream = SseStream::new(ready_body(reads), SseLimits::default());
    assert!(stream.next().now_or_never().unwrap().unwrap().is_ok());
    assert_eq!(stream.repaired_lines(), 2);
}

/// A body that counts how often it was dropped.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_error_drops_the_body_at_once() {
    let drops = Arc::new(AtomicU64::new(0));
    let counted = Counted(Arc::clone(&drops));
    let body = futures::stream::repeat_with(move || {
        let _held = &counted;
        Ok(Bytes::from_static(b"no line end "))
    });
    let mut stream = SseStream::new(Box::pin(body), SMALL);
    let error = stream.next().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TooLarge);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}
