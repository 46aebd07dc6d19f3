//! Bytes into events: the rules of the event stream, one network read at a time.
//!
//! Every byte is looked at once for a line end, and a whole line is read where it lies; only a line
//! that the network cut is copied together. An event costs one allocation, its data. A byte order
//! mark at the start, LF, CR and CRLF, and bytes that are not UTF-8 are handled the same wherever
//! the cuts are. A line or an event above its bound is refused before it is kept.
//! Memory: one line, one event, one read. Not here: the network, batches, time-outs (`sse`).

use std::borrow::Cow;

use bytes::Bytes;

use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::sse_event::{SseEvent, SseLimits};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The type of an event that names none.
const MESSAGE: &str = "message";

/// Takes reads, gives events.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    line_bytes_max: usize,
    read: Bytes,
    /// How much of `read` is done.
    read_done: usize,
    /// The start of a line whose end was not read yet.
    line: Vec<u8>,
    /// The last byte was the CR that ended a line: an LF now belongs to it.
    is_after_cr: bool,
    event: OpenEvent,
}

/// The lines since the last blank one.
#[derive(Debug)]
struct OpenEvent {
    bytes_max: usize,
    /// Bytes of its fields, each with one line end.
    bytes: usize,
    /// Empty where no type was given.
    kind: Cow<'static, str>,
    /// The data lines joined by LF; none if there was no such line.
    data: Option<String>,
    retry_ms: Option<u64>,
    /// The last id, which stays in force over the end of an event.
    id: String,
    is_first_line: bool,
    repaired_lines: u64,
}

impl SseDecoder {
    /// Before the first byte of a body.
    pub(crate) fn new(limits: SseLimits) -> Self {
        Self {
            line_bytes_max: limits.line_bytes_max,
            read: Bytes::new(),
            read_done: 0,
            line: Vec::new(),
            is_after_cr: false,
            event: OpenEvent {
                bytes_max: limits.event_bytes_max,
                bytes: 0,
                kind: Cow::Borrowed(""),
                data: None,
                retry_ms: None,
                id: String::new(),
                is_first_line: true,
                repaired_lines: 0,
            },
        }
    }

    /// How many lines had bytes that are not UTF-8, which became U+FFFD.
    pub(crate) fn repaired_lines(&self) -> u64 {
        self.event.repaired_lines
    }

    /// Takes the next network read, once [`next_event`](Self::next_event) has nothing left of the
    /// one before it.
    pub(crate) fn push(&mut self, read: Bytes) {
        debug_assert_eq!(self.read_done, self.read.len(), "the last read is used up");
        self.read = read;
        self.read_done = 0;
    }

    /// The next event that ends in what was pushed; none until more is pushed.
    ///
    /// # Errors
    /// `TooLarge` for a line or an event above its bound; the decoder is of no use after it.
    pub(crate) fn next_event(&mut self) -> Result<Option<SseEvent>, TransportError> {
        let event = self.scan();
        if !matches!(event, Ok(Some(_))) {
            // The network's buffer is free again before the next read is waited for.
            self.read = Bytes::new();
            self.read_done = 0;
        }
        event
    }

    fn scan(&mut self) -> Result<Option<SseEvent>, TransportError> {
        while let Some(rest) = self.read.get(self.read_done..)
            && let Some(first) = rest.first()
        {
            if std::mem::take(&mut self.is_after_cr) && *first == b'\n' {
                self.read_done = self.read_done.saturating_add(1);
                continue;
            }
            let found = memchr::memchr2(b'\r', b'\n', rest);
            let (start, end) = rest.split_at(found.unwrap_or(rest.len()));
            if self.line.len().saturating_add(start.len()) > self.line_bytes_max {
                return Err(too_large());
            }
            let Some(end) = end.first() else {
                self.line.extend_from_slice(start);
                return Ok(None);
            };
            self.is_after_cr = *end == b'\r';
            self.read_done = self.read_done.saturating_add(start.len()).saturating_add(1);
            let event = if self.line.is_empty() {
                self.event.take_line(start)?
            } else {
                self.line.extend_from_slice(start);
                let event = self.event.take_line(&self.line)?;
                self.line.clear();
                event
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }
}

impl OpenEvent {
    /// Takes one line without its end; the event, when it was the blank line that ends one.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, TransportError> {
        let line = if std::mem::take(&mut self.is_first_line) {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        match line.first() {
            None => return Ok(self.end()),
            Some(b':') => return Ok(None),
            Some(_) => {}
        }
        self.bytes = self.bytes.saturating_add(line.len()).saturating_add(1);
        if self.bytes > self.bytes_max {
            return Err(too_large());
        }
        match str::from_utf8(line) {
            Ok(line) => self.take_field(line),
            Err(_) => {
                self.repaired_lines = self.repaired_lines.saturating_add(1);
                self.take_field(&String::from_utf8_lossy(line));
            }
        }
        Ok(None)
    }

    fn take_field(&mut self, line: &str) {
        let (name, value) = match line.strip_prefix("data:") {
            Some(value) => ("data", value),
            None => line.split_once(':').unwrap_or((line, "")),
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" if value == MESSAGE => self.kind = Cow::Borrowed(MESSAGE),
            "event" => self.kind = Cow::Owned(value.to_owned()),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A sign would parse too; what is no number, or too large for one, changes nothing.
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
    }

    /// An event without a data line is none, and leaves nothing but its id.
    fn end(&mut self) -> Option<SseEvent> {
        self.bytes = 0;
        let kind = std::mem::take(&mut self.kind);
        let retry_ms = self.retry_ms.take();
        let data = self.data.take()?;
        Some(SseEvent {
            event: if kind.is_empty() { Cow::Borrowed(MESSAGE) } else { kind },
            data,
            id: self.id.clone(),
            retry_ms,
        })
    }
}

fn too_large() -> TransportError {
    TransportError::new(TransportErrorKind::TooLarge, TransportPhase::Streaming)
}
