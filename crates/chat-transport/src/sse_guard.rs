//! The guard in front of the event parser: turns any bytes into small pieces of clean lines.
//!
//! The parser behind it panics on a byte order mark at the start, fails on invalid UTF-8, waits after a lone CR,
//! scans an unfinished line again on every read and has no bound. So the guard strips one byte order mark, repairs
//! UTF-8, ends every line with LF, drops comments and malformed `retry` fields, hands out whole lines only, and
//! refuses a line or an event above its bound. Memory: one line, one piece, one read.
//! Not here: what the fields mean (`sse`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::Stream;

use crate::adapter::BodyStream;
use crate::error::{TransportError, TransportErrorKind, TransportPhase};
use crate::sse::SseLimits;

/// Whole lines are handed out once they are this many bytes together. The parser moves what is left of a piece once
/// per line, so this bounds its work per line; an ordinary event fits.
const PIECE_BYTES: usize = 4 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A stream of pieces, each one or more whole lines ended by LF.
pub(crate) struct LineGuard {
    /// `None` after the end or an error.
    body: Option<BodyStream>,
    limits: SseLimits,
    read: Bytes,
    /// The start of a line whose end was not read yet.
    line: Vec<u8>,
    /// Whole lines not handed out yet.
    piece: Vec<u8>,
    /// Bytes of the lines since the last blank one, those handed out included.
    event_bytes: usize,
    is_first_line: bool,
    /// The last byte was the CR that ended a line: an LF now belongs to it.
    is_after_cr: bool,
    repaired_lines: Arc<AtomicU64>,
}

impl LineGuard {
    pub(crate) fn new(body: BodyStream, limits: SseLimits, repaired_lines: Arc<AtomicU64>) -> Self {
        Self {
            body: Some(body),
            limits,
            read: Bytes::new(),
            line: Vec::new(),
            // A blank line changes nothing, and after it no byte order mark stands at the start.
            piece: b"\n".to_vec(),
            event_bytes: 0,
            is_first_line: true,
            is_after_cr: false,
            repaired_lines,
        }
    }

    /// Takes whole lines out of the last read until a piece is full, an event ends or the read is used up.
    fn fill_piece(&mut self) -> Result<bool, TransportError> {
        while self.read.has_remaining() {
            if self.is_after_cr {
                self.is_after_cr = false;
                if self.read.first() == Some(&b'\n') {
                    self.read.advance(1);
                    continue;
                }
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', &self.read) else {
                self.check_line(self.line.len().saturating_add(self.read.len()))?;
                self.line.extend_from_slice(&self.read);
                self.read.clear();
                break;
            };
            self.check_line(self.line.len().saturating_add(end))?;
            let rest = self.read.split_to(end);
            self.is_after_cr = self.read.first() == Some(&b'\r');
            self.read.advance(1);
            let is_event_end = if self.line.is_empty() {
                self.take_line(&rest)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest);
                self.take_line(&line)?
            };
            if is_event_end || self.piece.len() >= PIECE_BYTES {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds one line, without its end, to the piece; `true` when it was blank.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, TransportError> {
        let line = if std::mem::take(&mut self.is_first_line) {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            let has_fields = self.event_bytes > 0;
            self.event_bytes = 0;
            if has_fields {
                self.piece.push(b'\n');
            }
            return Ok(has_fields);
        }
        if line.first() == Some(&b':') || is_malformed_retry(line) {
            return Ok(false);
        }
        self.event_bytes = self
            .event_bytes
            .saturating_add(line.len())
            .saturating_add(1);
        if self.event_bytes > self.limits.event_bytes_max {
            return Err(too_large());
        }
        match String::from_utf8_lossy(line) {
            std::borrow::Cow::Borrowed(clean) => self.piece.extend_from_slice(clean.as_bytes()),
            std::borrow::Cow::Owned(repaired) => {
                self.repaired_lines.fetch_add(1, Ordering::Relaxed);
                self.piece.extend_from_slice(repaired.as_bytes());
            }
        }
        self.piece.push(b'\n');
        Ok(false)
    }

    fn check_line(&self, line_bytes: usize) -> Result<(), TransportError> {
        if line_bytes > self.limits.line_bytes_max {
            return Err(too_large());
        }
        Ok(())
    }

    fn close(&mut self) {
        self.body = None;
        self.read = Bytes::new();
        self.line = Vec::new();
        self.piece = Vec::new();
    }
}

fn too_large() -> TransportError {
    TransportError::new(TransportErrorKind::TooLarge, TransportPhase::Streaming)
}

/// Whether this is a `retry` field with anything but digits, which the rules ignore and the parser would not.
fn is_malformed_retry(line: &[u8]) -> bool {
    let Some(value) = line.strip_prefix(b"retry:") else {
        return false;
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    value.is_empty() || !value.iter().all(u8::is_ascii_digit)
}

impl Stream for LineGuard {
    type Item = Result<Vec<u8>, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.fill_piece() {
                Ok(true) => return Poll::Ready(Some(Ok(std::mem::take(&mut self.piece)))),
                Ok(false) => {}
                Err(error) => {
                    self.close();
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let Some(body) = self.body.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(body.as_mut().poll_next(context)) {
                Some(Ok(read)) => self.read = read,
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(Err(error)));
                }
                // What is left is an event without its blank line: by the rules it is dropped.
                None => {
                    self.close();
                    return Poll::Ready(None);
                }
            }
        }
    }
}
