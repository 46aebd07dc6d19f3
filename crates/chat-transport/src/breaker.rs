//! Stops calling a provider that is down, and finds out when it is back.
//!
//! Closed: calls pass and are counted in one-second buckets. Open: nothing passes. Half-open: one probe at a time.
//! A pure state machine: time comes in as milliseconds of any monotonic clock, one object per provider.

/// When a breaker opens and how it probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Share of failures from which on it opens, in percent. 50.
    pub failure_percent: u64,
    /// Calls in the window below which nothing is concluded. 20: one bad minute of a quiet service is no outage.
    pub calls_min: u64,
    /// The window in seconds, at most `WINDOW_BUCKETS`. 30 s.
    pub window_s: u64,
    /// Time between probes while open. 5 s.
    pub probe_interval_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failure_percent: 50, calls_min: 20, window_s: 30, probe_interval_ms: 5_000 }
    }
}

/// Buckets of one second kept; the upper bound of `window_s`.
const WINDOW_BUCKETS: usize = 60;

/// What the breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused until the next probe is due.
    Open,
    /// A probe is out; calls are refused until it answers or the next one is due.
    HalfOpen,
}

/// The breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's breaker is open for another {retry_after_ms} ms")]
pub struct BreakerOpen {
    /// When the next probe is due.
    pub retry_after_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    second: u64,
    calls: u64,
    failures: u64,
}

/// The breaker of one provider.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    buckets: [Bucket; WINDOW_BUCKETS],
    /// `None` while closed, else when the next probe may go.
    probe_at_ms: Option<u64>,
    is_probe_out: bool,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            buckets: [Bucket::default(); WINDOW_BUCKETS],
            probe_at_ms: None,
            is_probe_out: false,
        }
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match (self.probe_at_ms, self.is_probe_out) {
            (None, _) => BreakerState::Closed,
            (Some(_), false) => BreakerState::Open,
            (Some(_), true) => BreakerState::HalfOpen,
        }
    }

    /// Asks whether a call may go.
    ///
    /// While open it grants one probe per `probe_interval_ms`; a probe that never reports back blocks nothing longer.
    ///
    /// # Errors
    /// `BreakerOpen` with the time until the next probe.
    pub fn admit(&mut self, now_ms: u64) -> Result<(), BreakerOpen> {
        match self.probe_at_ms {
            None => Ok(()),
            Some(probe_at_ms) if now_ms >= probe_at_ms => {
                self.probe_at_ms = Some(now_ms.saturating_add(self.config.probe_interval_ms));
                self.is_probe_out = true;
                Ok(())
            }
            Some(probe_at_ms) => {
                Err(BreakerOpen { retry_after_ms: probe_at_ms.saturating_sub(now_ms) })
            }
        }
    }

    /// Reports a call that succeeded, or failed in a way that does not speak against the provider.
    ///
    /// The first success of a probe closes the breaker and forgets the window. Late answers of calls that were sent
    /// before it opened are ignored.
    pub fn record_success(&mut self, now_ms: u64) {
        if self.probe_at_ms.is_none() {
            self.count(now_ms, 0);
        } else if self.is_probe_out {
            self.probe_at_ms = None;
            self.is_probe_out = false;
            self.buckets = [Bucket::default(); WINDOW_BUCKETS];
        }
    }

    /// Reports a call that failed in a way that speaks against the provider.
    pub fn record_failure(&mut self, now_ms: u64) {
        if self.probe_at_ms.is_some() {
            self.is_probe_out = false;
            return;
        }
        self.count(now_ms, 1);
        let (calls, failures) = self.totals(now_ms);
        let is_bad =
            failures.saturating_mul(100) >= calls.saturating_mul(self.config.failure_percent);
        if calls >= self.config.calls_min && is_bad {
            self.probe_at_ms = Some(now_ms.saturating_add(self.config.probe_interval_ms));
        }
    }

    fn count(&mut self, now_ms: u64, failures: u64) {
        let second = now_ms / 1_000;
        let slots = u64::try_from(WINDOW_BUCKETS).unwrap_or(1);
        let slot = usize::try_from(second % slots).unwrap_or(0);
        if let Some(bucket) = self.buckets.get_mut(slot) {
            if bucket.second != second {
                *bucket = Bucket { second, ..Bucket::default() };
            }
            bucket.calls = bucket.calls.saturating_add(1);
            bucket.failures = bucket.failures.saturating_add(failures);
        }
    }

    fn totals(&self, now_ms: u64) -> (u64, u64) {
        let newest = now_ms / 1_000;
        let is_recent =
            |bucket: &&Bucket| newest.saturating_sub(bucket.second) < self.config.window_s;
        self.buckets.iter().filter(is_recent).fold((0, 0), |(calls, failures), bucket| {
            (calls.saturating_add(bucket.calls), failures.saturating_add(bucket.failures))
        })
    }
}
