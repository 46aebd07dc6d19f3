//! Is this error retried? The whole rule, as one pure function.
//!
//! The commit point of a call is its first delta, stored or shown. Before it a call may be sent again, after it never.
//! A retry after a failure that may have cost something is allowed once, and only through the gate, which extends the
//! hold (`retry_loop`). Not here: waiting and sending (`retry_loop`), the shared limits (`budget`, `breaker`).

use crate::error::{TransportError, TransportErrorKind, TransportPhase};

/// How often and how patiently a call is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries of one call. 2, as the vendors' own clients do; a third one almost never helps.
    pub retries_max: u32,
    /// Retries of one call after failures that may have cost something. 1: each may be billed.
    pub ambiguous_retries_max: u32,
    /// The first wait is drawn from 0 to this; each further retry doubles it. 500 ms.
    pub backoff_base_ms: u64,
    /// No drawn wait is longer than this. 8 s.
    pub backoff_max_ms: u64,
    /// A provider's own wait is obeyed up to this. 60 s: longer than that a user is better served by an answer.
    pub retry_after_max_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 2,
            ambiguous_retries_max: 1,
            backoff_base_ms: 500,
            backoff_max_ms: 8_000,
            retry_after_max_ms: 60_000,
        }
    }
}

/// A failed attempt, reduced to what the decision needs.
///
/// A provider leaf maps an error event inside a 200 to the status it stands for: kind `Status`, phase `Streaming`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: TransportErrorKind,
    /// How far the request had got.
    pub phase: TransportPhase,
    /// The HTTP status, or the one an error event stands for.
    pub status: Option<u16>,
    /// How long the provider asked to wait.
    pub retry_after_ms: Option<u64>,
    /// The provider's verdict (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// Whether a 429 means an empty account rather than too many requests. Only the provider's leaf can tell.
    pub is_quota: bool,
    /// Whether the first delta had been stored or shown.
    pub is_committed: bool,
}

/// What a failure is, before limits are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Never sent again.
    Final(GiveUpReason),
    /// Nothing was billed; may be sent again.
    Free,
    /// Too many requests: may be sent again when the wait fits.
    RateLimited,
    /// May have been billed; may be sent again if the gate extends the hold.
    Ambiguous,
    /// An error event before the first delta: as its status, and its input may have been billed.
    RefusedInStream,
}

/// Why a call is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUpReason {
    /// Sending the same request again would fail again.
    NotRetryable,
    /// The first delta is out: another attempt would repeat text.
    Committed,
    /// Our own deadline is over or the user stopped the turn.
    DeadlineOrStop,
    /// The provider said `x-should-retry: false`.
    ServerSaidNo,
    /// All retries of the policy are used up.
    RetriesUsedUp,
    /// The provider asks for a longer wait than the policy or the deadline allows; pass its wait on to the user.
    RetryAfterTooLong,
    /// The drawn wait does not fit the deadline.
    DeadlineTooShort,
    /// Too many of all calls to this provider are retries already.
    BudgetUsedUp,
    /// The provider's breaker is open.
    BreakerOpen,
}

/// What was tried so far for one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryProgress {
    /// Attempts made, the one that just failed included.
    pub attempts_made: u32,
    /// Retries already made after a failure that may have cost something.
    pub ambiguous_retries_made: u32,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Send again after this wait.
    Retry {
        /// The wait in milliseconds.
        after_ms: u64,
        /// Whether the failed attempt may have cost something, so that the hold must be extended first.
        ambiguous: bool,
    },
    /// Do not send again.
    GiveUp {
        /// Why.
        reason: GiveUpReason,
    },
}

/// An error that can be judged by `decide`.
pub trait Retryable {
    /// The error, reduced to what the decision needs.
    fn failure(&self) -> Failure;
}

impl Retryable for Failure {
    fn failure(&self) -> Failure {
        self.clone()
    }
}

impl Retryable for TransportError {
    fn failure(&self) -> Failure {
        Failure {
            status: self.status().map(|status| status.as_u16()),
            retry_after_ms: self.retry_after_ms(),
            should_retry: self.should_retry(),
            ..Failure::new(self.kind(), self.phase())
        }
    }
}

impl TransportError {
    /// Whether the same request may succeed when it is sent again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.failure().is_retryable()
    }
}

impl Failure {
    /// A failure before the commit point with no status and no hints.
    #[must_use]
    pub fn new(kind: TransportErrorKind, phase: TransportPhase) -> Self {
        Self {
            kind,
            phase,
            status: None,
            retry_after_ms: None,
            should_retry: None,
            is_quota: false,
            is_committed: false,
        }
    }

    /// A refusal by HTTP status.
    #[must_use]
    pub fn refused(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::new(TransportErrorKind::Status, TransportPhase::Headers)
        }
    }

    /// An error event inside a 200, mapped by the leaf to the status it stands for.
    #[must_use]
    pub fn refused_in_stream(status: u16) -> Self {
        Self { phase: TransportPhase::Streaming, ..Self::refused(status) }
    }

    /// What the failure is, before limits are looked at.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        use TransportErrorKind as Kind;
        if matches!(self.kind, Kind::TotalTimeout | Kind::Stopped) {
            return FailureClass::Final(GiveUpReason::DeadlineOrStop);
        }
        if self.is_committed {
            return FailureClass::Final(GiveUpReason::Committed);
        }
        match self.kind {
            Kind::TotalTimeout
            | Kind::Stopped
            | Kind::InvalidRequest
            | Kind::TooLarge
            | Kind::BadContentType
            | Kind::Malformed => FailureClass::Final(GiveUpReason::NotRetryable),
            Kind::Connect
            | Kind::ConnectTimeout
            | Kind::Tls
            | Kind::FirstByteTimeout
            | Kind::IdleTimeout
            | Kind::ProgressTimeout
            | Kind::Reset
            | Kind::Closed => match self.phase {
                TransportPhase::NothingSent | TransportPhase::PartlySent => FailureClass::Free,
                TransportPhase::Ambiguous | TransportPhase::Headers | TransportPhase::Streaming => {
                    FailureClass::Ambiguous
                }
            },
            Kind::Status => self.class_of_status(),
        }
    }

    fn class_of_status(&self) -> FailureClass {
        if self.should_retry == Some(false) {
            return FailureClass::Final(GiveUpReason::ServerSaidNo);
        }
        let is_named = match self.status {
            Some(408 | 409 | 500 | 502 | 503 | 504 | 529) => true,
            Some(429) => !self.is_quota,
            Some(_) | None => false,
        };
        if !is_named && self.should_retry != Some(true) {
            return FailureClass::Final(GiveUpReason::NotRetryable);
        }
        if self.phase == TransportPhase::Streaming {
            FailureClass::RefusedInStream
        } else if self.status == Some(429) {
            FailureClass::RateLimited
        } else {
            FailureClass::Free
        }
    }

    /// Whether another attempt is possible at all.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self.class(), FailureClass::Final(_))
    }

    /// Whether the provider may bill the failed attempt.
    ///
    /// `false`: the hold can be released. `true`: settle the estimate, or extend the hold before another attempt.
    #[must_use]
    pub fn may_have_cost(&self) -> bool {
        self.is_committed
            || match self.phase {
                TransportPhase::NothingSent | TransportPhase::PartlySent => false,
                // A refusal by status is not billed; a 200 whose body is not usable may be.
                TransportPhase::Headers => self.kind != TransportErrorKind::Status,
                TransportPhase::Ambiguous | TransportPhase::Streaming => true,
            }
    }

    /// Whether the failure speaks against the provider's health.
    ///
    /// Our own mistakes, deadlines and stops do not; too many requests have limits of their own.
    #[must_use]
    pub fn counts_for_breaker(&self) -> bool {
        use TransportErrorKind as Kind;
        match self.kind {
            Kind::InvalidRequest | Kind::TotalTimeout | Kind::Stopped => false,
            Kind::Status => match self.status {
                Some(408 | 409 | 529) => true,
                Some(status) => (500..=599).contains(&status),
                None => self.is_committed,
            },
            Kind::TooLarge | Kind::BadContentType | Kind::Malformed => self.is_committed,
            Kind::Connect
            | Kind::ConnectTimeout
            | Kind::Tls
            | Kind::FirstByteTimeout
            | Kind::IdleTimeout
            | Kind::ProgressTimeout
            | Kind::Reset
            | Kind::Closed => true,
        }
    }
}

/// Decides whether a failed attempt is followed by another one, and when.
///
/// `deadline_left_ms` is what the whole call has left (`None`: no deadline). `jitter` is a uniformly random number;
/// the wait is its share of the backoff window ("full jitter"), so that clients do not return in step.
#[must_use]
pub fn decide(
    policy: &RetryPolicy,
    progress: RetryProgress,
    failure: &Failure,
    deadline_left_ms: Option<u64>,
    jitter: u64,
) -> RetryDecision {
    let give_up = |reason| RetryDecision::GiveUp { reason };
    let (ambiguous, is_rate_limit) = match failure.class() {
        FailureClass::Final(reason) => return give_up(reason),
        FailureClass::Free => (false, false),
        FailureClass::RateLimited => (false, true),
        FailureClass::RefusedInStream => (true, failure.status == Some(429)),
        FailureClass::Ambiguous => {
            if progress.ambiguous_retries_made >= policy.ambiguous_retries_max {
                return give_up(GiveUpReason::RetriesUsedUp);
            }
            (true, false)
        }
    };
    let retries_made = progress.attempts_made.saturating_sub(1);
    if retries_made >= policy.retries_max {
        return give_up(GiveUpReason::RetriesUsedUp);
    }
    let fits = |wait_ms: u64| deadline_left_ms.is_none_or(|left_ms| wait_ms < left_ms);
    let after_ms = match failure.retry_after_ms {
        Some(wait_ms) if wait_ms <= policy.retry_after_max_ms => {
            if !fits(wait_ms) {
                return give_up(GiveUpReason::RetryAfterTooLong);
            }
            wait_ms
        }
        Some(_) if is_rate_limit => return give_up(GiveUpReason::RetryAfterTooLong),
        Some(_) | None => {
            let wait_ms = jittered_backoff_ms(policy, retries_made, jitter);
            if !fits(wait_ms) {
                return give_up(GiveUpReason::DeadlineTooShort);
            }
            wait_ms
        }
    };
    RetryDecision::Retry { after_ms, ambiguous }
}

/// A share of the backoff window of the retry after `retries_made` others: 0 to the window, both included.
fn jittered_backoff_ms(policy: &RetryPolicy, retries_made: u32, jitter: u64) -> u64 {
    let factor = 1_u64.checked_shl(retries_made).unwrap_or(u64::MAX);
    let window_ms = policy.backoff_base_ms.saturating_mul(factor).min(policy.backoff_max_ms);
    let choices = u128::from(window_ms) + 1;
    let share = (choices * u128::from(jitter)) >> 64;
    u64::try_from(share).unwrap_or(window_ms)
}
