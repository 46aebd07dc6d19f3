//! Keeps retries a small share of all calls to a provider, so that an outage is not answered with a storm.
//!
//! Pure: time comes in as milliseconds of any monotonic clock, one object per provider and process.

use std::collections::VecDeque;

/// How many retries all calls to one provider may make together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// Retries allowed per hundred calls of the window. 20.
    pub percent: u64,
    /// Retries allowed per second on top, so that quiet services can retry at all. 10.
    pub extra_per_s: u64,
    /// The window in seconds. 10 s.
    pub window_s: u64,
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self { percent: 20, extra_per_s: 10, window_s: 10 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Second {
    second: u64,
    calls: u64,
    retries: u64,
}

/// The retry budget of one provider; holds one small record per second of its window.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    config: RetryBudgetConfig,
    seconds: VecDeque<Second>,
}

impl RetryBudget {
    /// A budget with nothing spent.
    #[must_use]
    pub fn new(config: RetryBudgetConfig) -> Self {
        Self { config, seconds: VecDeque::new() }
    }

    /// Counts a first attempt.
    pub fn record_call(&mut self, now_ms: u64) {
        if let Some(second) = self.current(now_ms) {
            second.calls = second.calls.saturating_add(1);
        }
    }

    /// Takes one retry out of the budget; `false` when it is used up, and then nothing is taken.
    #[must_use]
    pub fn try_retry(&mut self, now_ms: u64) -> bool {
        let (mut calls, mut retries) = (0_u64, 0_u64);
        let _ = self.current(now_ms);
        for second in &self.seconds {
            calls = calls.saturating_add(second.calls);
            retries = retries.saturating_add(second.retries);
        }
        let share = calls.saturating_mul(self.config.percent) / 100;
        let extra = self.config.extra_per_s.saturating_mul(self.config.window_s);
        if retries >= share.saturating_add(extra) {
            return false;
        }
        if let Some(second) = self.current(now_ms) {
            second.retries = second.retries.saturating_add(1);
        }
        true
    }

    /// The record of this second, after those that left the window are forgotten.
    fn current(&mut self, now_ms: u64) -> Option<&mut Second> {
        let newest = now_ms / 1_000;
        let window_s = self.config.window_s;
        while self
            .seconds
            .front()
            .is_some_and(|oldest| newest.saturating_sub(oldest.second) >= window_s)
        {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|last| last.second < newest) {
            self.seconds.push_back(Second { second: newest, calls: 0, retries: 0 });
        }
        self.seconds.back_mut()
    }
}
