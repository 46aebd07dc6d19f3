//! The event stream rules, written down slowly and obviously, as the oracle of the real decoder.

use bytes::Bytes;
use chat_transport::{BodyStream, SseEvent, SseLimits, SseStream, TransportError};
use futures::{FutureExt, StreamExt};

/// Parses a whole body at once, sentence by sentence of the specification.
pub(crate) fn parse(bytes: &[u8]) -> Vec<SseEvent> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                lines.push(std::mem::take(&mut line));
            }
            '\n' => lines.push(std::mem::take(&mut line)),
            other => line.push(other),
        }
    }

    let mut events = Vec::new();
    let (mut event, mut data, mut id, mut retry_ms) =
        (String::new(), String::new(), String::new(), None);
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let name = if event.is_empty() { "message".to_owned() } else { event };
                events.push(SseEvent { event: name.into(), data, id: id.clone(), retry_ms });
            }
            (event, data, retry_ms) = (String::new(), String::new(), None);
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if value.chars().all(|digit| digit.is_ascii_digit()) => {
                retry_ms = value.parse().ok().or(retry_ms);
            }
            _ => {}
        }
    }
    events
}

/// Runs the real decoder over these reads; a body that is always ready never waits.
pub(crate) fn decode(reads: &[&[u8]]) -> Result<Vec<SseEvent>, TransportError> {
    decode_within(reads, SseLimits::default())
}

/// The same with other limits.
pub(crate) fn decode_within(
    reads: &[&[u8]],
    limits: SseLimits,
) -> Result<Vec<SseEvent>, TransportError> {
    let reads: Vec<_> = reads.iter().map(|read| Ok(Bytes::copy_from_slice(read))).collect();
    let body: BodyStream = Box::pin(futures::stream::iter(reads));
    let batches: Vec<_> = SseStream::new(body, limits).collect::<Vec<_>>().now_or_never().unwrap();
    let mut events = Vec::new();
    for batch in batches {
        events.extend(batch?);
    }
    Ok(events)
}
