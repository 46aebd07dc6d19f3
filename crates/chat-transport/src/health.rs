//! What one process knows about one provider: its breaker and its retry budget, shared by all calls to it.

use std::sync::{Mutex, PoisonError};

use crate::breaker::{Breaker, BreakerConfig, BreakerOpen, BreakerState};
use crate::budget::{RetryBudget, RetryBudgetConfig};
use crate::retry::Failure;

/// The shared state of all calls to one provider; put it in an `Arc`.
///
/// Every method takes milliseconds of the same monotonic clock. No lock is held while anything waits.
#[derive(Debug)]
pub struct ProviderHealth {
    state: Mutex<(Breaker, RetryBudget)>,
}

impl Default for ProviderHealth {
    fn default() -> Self {
        Self::new(BreakerConfig::default(), RetryBudgetConfig::default())
    }
}

impl ProviderHealth {
    /// A healthy provider.
    #[must_use]
    pub fn new(breaker: BreakerConfig, budget: RetryBudgetConfig) -> Self {
        Self { state: Mutex::new((Breaker::new(breaker), RetryBudget::new(budget))) }
    }

    /// Asks the breaker whether an attempt may go.
    ///
    /// # Errors
    /// `BreakerOpen` with the time until the next probe.
    pub fn admit(&self, now_ms: u64) -> Result<(), BreakerOpen> {
        self.with(|breaker, _| breaker.admit(now_ms))
    }

    /// Counts a first attempt, from which the retry budget grows.
    pub fn record_call(&self, now_ms: u64) {
        self.with(|_, budget| budget.record_call(now_ms));
    }

    /// Takes one retry out of the budget; `false` when it is used up.
    #[must_use]
    pub fn try_retry(&self, now_ms: u64) -> bool {
        self.with(|_, budget| budget.try_retry(now_ms))
    }

    /// Reports a reply that reached its first delta.
    pub fn record_success(&self, now_ms: u64) {
        self.with(|breaker, _| breaker.record_success(now_ms));
    }

    /// Reports a failed attempt, also one after the first delta.
    ///
    /// A refusal that does not speak against the provider counts as an answer, too many requests as nothing.
    pub fn record_failure(&self, failure: &Failure, now_ms: u64) {
        self.with(|breaker, _| {
            if failure.counts_for_breaker() {
                breaker.record_failure(now_ms);
            } else if failure.status.is_some_and(|status| status != 429) {
                breaker.record_success(now_ms);
            }
        });
    }

    /// The breaker's state now.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        self.with(|breaker, _| breaker.state())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Breaker, &mut RetryBudget) -> T) -> T {
        // Counters stay usable whatever panicked while holding them.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (breaker, budget) = &mut *state;
        act(breaker, budget)
    }
}
