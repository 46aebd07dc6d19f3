//! Runs a call, passes the gate before every attempt, and sends again as `retry::decide` says.
//!
//! The loop ends at the call's commit point: `op` returns `Ok` with the first delta in hand, and what fails after
//! that is the caller's to report, never to repeat. Dropping the loop's future drops the attempt that is under way.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::breaker::BreakerOpen;
use crate::health::ProviderHealth;
use crate::retry::{GiveUpReason, RetryDecision, RetryPolicy, RetryProgress, Retryable, decide};

/// Stands before every attempt: journals it and, where the previous one may have cost something, extends the hold.
#[async_trait]
pub trait RetryGate: fmt::Debug + Send + Sync {
    /// Lets attempt number `attempt` (from 1) pass. No byte leaves before this returned `Ok`.
    ///
    /// # Errors
    /// `GateRefused` when the attempt could not be journaled or paid; the loop ends, nothing is sent.
    async fn admit(
        &self,
        attempt: u32,
        previous_failure_was_ambiguous: bool,
    ) -> Result<(), GateRefused>;
}

/// A gate that lets everything pass, for calls that are neither journaled nor billed.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

#[async_trait]
impl RetryGate for OpenGate {
    async fn admit(&self, _: u32, _: bool) -> Result<(), GateRefused> {
        Ok(())
    }
}

/// The gate let an attempt not pass.
#[derive(Debug, thiserror::Error)]
#[error("the gate refused the attempt: {reason}")]
pub struct GateRefused {
    reason: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl GateRefused {
    /// A refusal; `reason` is a few words without user text.
    #[must_use]
    pub fn new(reason: &'static str) -> Self {
        Self { reason, source: None }
    }

    /// Adds the gate's own error, which the caller can take out again with `into_source`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The few words.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The gate's own error, if it gave one.
    #[must_use]
    pub fn into_source(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.source
    }
}

/// The loop's time and chance, passed in so that tests own both.
#[async_trait]
pub trait RetryTime: fmt::Debug + Send + Sync {
    /// Milliseconds of a monotonic clock.
    fn now_ms(&self) -> u64;
    /// A uniformly random number.
    fn jitter(&self) -> u64;
    /// Waits.
    async fn sleep_ms(&self, wait_ms: u64);
}

/// Tokio's clock and a small seeded generator.
#[derive(Debug)]
pub struct TokioRetryTime {
    started: Instant,
    random: Mutex<fastrand::Rng>,
}

impl TokioRetryTime {
    /// Starts at 0 ms; processes with different seeds do not retry in step.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { started: Instant::now(), random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }
}

#[async_trait]
impl RetryTime for TokioRetryTime {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn jitter(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    async fn sleep_ms(&self, wait_ms: u64) {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}

/// What one run of the loop works with.
#[derive(Debug, Clone, Copy)]
pub struct RetryRun<'a> {
    /// The rule's numbers.
    pub policy: &'a RetryPolicy,
    /// Passed before every attempt.
    pub gate: &'a dyn RetryGate,
    /// Time and chance.
    pub time: &'a dyn RetryTime,
    /// The provider's breaker and budget; `None` leaves both out.
    pub health: Option<&'a ProviderHealth>,
    /// When the whole call must be over, on `time`'s clock: no wait is begun that ends later. The attempts themselves
    /// are bounded by their own time-outs.
    pub deadline_ms: Option<u64>,
}

/// Why a call did not reach its first delta.
#[derive(Debug, thiserror::Error)]
pub enum RetryError<E: Error + 'static> {
    /// The last attempt failed and none follows.
    #[error("gave up after {attempts} attempts ({reason:?})")]
    GaveUp {
        /// The last attempt's error.
        #[source]
        error: E,
        /// Why none follows.
        reason: GiveUpReason,
        /// Attempts made.
        attempts: u32,
    },
    /// The gate refused an attempt; nothing was sent for it.
    #[error("attempt {attempt} was refused")]
    Refused {
        /// The gate's answer.
        #[source]
        refused: GateRefused,
        /// The attempt that was refused, from 1.
        attempt: u32,
        /// The error of the attempt before, if there was one.
        last_error: Option<E>,
    },
    /// The breaker was open before the first attempt; nothing was sent.
    #[error("not sent")]
    BreakerOpen(#[source] BreakerOpen),
}

/// Runs `op` until it reaches its commit point or `decide` gives up.
///
/// `op` gets the attempt's number, from 1, and is called only after breaker and gate let that attempt pass, in this
/// order, so that the gate journals no attempt that is never made.
///
/// # Errors
/// See `RetryError`; the last attempt's error is always in it.
pub async fn with_retry<T, E, Op, Attempt>(
    run: &RetryRun<'_>,
    mut op: Op,
) -> Result<T, RetryError<E>>
where
    E: Error + Retryable + 'static,
    Op: FnMut(u32) -> Attempt,
    Attempt: Future<Output = Result<T, E>>,
{
    let mut progress = RetryProgress::default();
    let mut previous: Option<(E, bool)> = None;
    if let Some(health) = run.health {
        health.admit(run.time.now_ms()).map_err(RetryError::BreakerOpen)?;
        health.record_call(run.time.now_ms());
    }
    // Ends: `decide` gives up once `attempts_made` passes the policy's bound.
    loop {
        let attempt = progress.attempts_made.saturating_add(1);
        let was_ambiguous = previous.as_ref().is_some_and(|(_, ambiguous)| *ambiguous);
        if let Err(refused) = run.gate.admit(attempt, was_ambiguous).await {
            let last_error = previous.map(|(error, _)| error);
            return Err(RetryError::Refused { refused, attempt, last_error });
        }
        progress.attempts_made = attempt;
        let error = match op(attempt).await {
            Ok(value) => {
                if let Some(health) = run.health {
                    health.record_success(run.time.now_ms());
                }
                return Ok(value);
            }
            Err(error) => error,
        };
        match next_attempt(run, progress, &error) {
            RetryDecision::GiveUp { reason } => {
                return Err(RetryError::GaveUp { error, reason, attempts: attempt });
            }
            RetryDecision::Retry { after_ms, ambiguous } => {
                run.time.sleep_ms(after_ms).await;
                if let Some(health) = run.health
                    && health.admit(run.time.now_ms()).is_err()
                {
                    let reason = GiveUpReason::BreakerOpen;
                    return Err(RetryError::GaveUp { error, reason, attempts: attempt });
                }
                if ambiguous {
                    progress.ambiguous_retries_made =
                        progress.ambiguous_retries_made.saturating_add(1);
                }
                previous = Some((error, ambiguous));
            }
        }
    }
}

/// Reports the failure to the provider's health and decides, the shared budget included.
fn next_attempt<E: Retryable>(
    run: &RetryRun<'_>,
    progress: RetryProgress,
    error: &E,
) -> RetryDecision {
    let failure = error.failure();
    let now_ms = run.time.now_ms();
    if let Some(health) = run.health {
        health.record_failure(&failure, now_ms);
    }
    let deadline_left_ms = run.deadline_ms.map(|deadline_ms| deadline_ms.saturating_sub(now_ms));
    let decision = decide(run.policy, progress, &failure, deadline_left_ms, run.time.jitter());
    match (decision, run.health) {
        (RetryDecision::Retry { .. }, Some(health)) if !health.try_retry(now_ms) => {
            RetryDecision::GiveUp { reason: GiveUpReason::BudgetUsedUp }
        }
        (decision, _) => decision,
    }
}
