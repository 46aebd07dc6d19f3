//! What a stream of server-sent events is made of, and its bounds.

use std::borrow::Cow;

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The type, `message` where the server gave none; borrowed for that one.
    pub event: Cow<'static, str>,
    /// The data lines, joined by LF.
    pub data: String,
    /// The last event id that was in force, empty where the server gave none.
    pub id: String,
    /// The reconnection time, where this event set one.
    pub retry_ms: Option<u64>,
}

/// The bounds of one stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseLimits {
    /// The longest line in bytes. 1 MiB: a vendor's longest line is an inline image of some 100 KiB.
    pub line_bytes_max: usize,
    /// The largest event in bytes, over all its lines. 8 MiB: images in several parts.
    pub event_bytes_max: usize,
    /// The most events in one batch. 256: one read of 64 KiB holds about that many deltas.
    pub batch_events_max: usize,
    /// A batch ends once its data is this many bytes. 256 KiB, so that memory stays flat when the network is faster
    /// than the reader.
    pub batch_bytes_max: usize,
}

impl Default for SseLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 1024 * 1024,
            event_bytes_max: 8 * 1024 * 1024,
            batch_events_max: 256,
            batch_bytes_max: 256 * 1024,
        }
    }
}
