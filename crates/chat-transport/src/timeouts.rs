//! The time-outs of one request, as data.
//!
//! Who keeps them: `connect_ms` the transport that opens connections, `first_byte_ms`, `idle_ms` and `total_ms`
//! the layer in `timed`, `progress_ms` the event decoder in `sse`, because only events tell progress from pings.

use std::time::Duration;

/// How long each part of a request may take, in milliseconds.
///
/// There is deliberately no way to switch one off: a request without a bound is a task that can hang for ever.
/// A reply may stream for minutes, so nothing but `total_ms` limits how long it takes while it makes progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first try to connect until the connection, TLS included, is there. 5 s: a reachable host answers in
    /// well under one, and a retry on a fresh connection is worth more than waiting.
    pub connect_ms: u64,
    /// From the start of the request until the response headers are there. 60 s: slow reasoning models send headers
    /// late, proxies in front of them give up after a minute.
    pub first_byte_ms: u64,
    /// Between two reads of the body. 60 s: vendors send a ping at least every 15 to 30 s.
    pub idle_ms: u64,
    /// Between two events that carry progress; pings and comments keep the connection but do not count. 300 s.
    pub progress_ms: u64,
    /// From the start of the request to the end of the body, whatever happens. 30 min: the longest turn allowed.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            first_byte_ms: 60_000,
            idle_ms: 60_000,
            progress_ms: 300_000,
            total_ms: 1_800_000,
        }
    }
}

impl Timeouts {
    /// `connect_ms` as a duration.
    #[must_use]
    pub const fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    /// `first_byte_ms` as a duration.
    #[must_use]
    pub const fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    /// `idle_ms` as a duration.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// `progress_ms` as a duration.
    #[must_use]
    pub const fn progress(&self) -> Duration {
        Duration::from_millis(self.progress_ms)
    }

    /// `total_ms` as a duration.
    #[must_use]
    pub const fn total(&self) -> Duration {
        Duration::from_millis(self.total_ms)
    }
}
