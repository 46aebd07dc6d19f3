//! R1: the retry table row by row, as data. R5: the jitter is real.

use chat_transport::{
    Failure, GiveUpReason, RetryDecision, RetryPolicy, RetryProgress, TransportErrorKind as Kind,
    TransportPhase as Phase, decide,
};

/// What a row of the table promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// At most this many retries; whether the hold must be extended first.
    Retries(u32, bool),
    Never(GiveUpReason),
}

const NO_WAY: Row = Row::Never(GiveUpReason::NotRetryable);

/// Follows one failure that repeats for ever: how many retries it gets, and what ends it.
fn follow(failure: &Failure) -> (u32, bool, GiveUpReason) {
    let policy = RetryPolicy::default();
    let mut progress = RetryProgress { attempts_made: 1, ambiguous_retries_made: 0 };
    let mut was_ambiguous = false;
    loop {
        match decide(&policy, progress, failure, Some(600_000), u64::MAX / 2) {
            RetryDecision::Retry { ambiguous, .. } => {
                was_ambiguous = ambiguous;
                progress.attempts_made += 1;
                progress.ambiguous_retries_made += u32::from(ambiguous);
            }
            RetryDecision::GiveUp { reason } => {
                return (progress.attempts_made - 1, was_ambiguous, reason);
            }
        }
    }
}

#[track_caller]
fn check(name: &str, failure: &Failure, row: Row, may_have_cost: bool, counts_for_breaker: bool) {
    let expected = match row {
        Row::Retries(retries, ambiguous) => (retries, ambiguous, GiveUpReason::RetriesUsedUp),
        Row::Never(reason) => (0, false, reason),
    };
    assert_eq!(follow(failure), expected, "{name}");
    assert_eq!(failure.is_retryable(), matches!(row, Row::Retries(..)), "{name}");
    assert_eq!(failure.may_have_cost(), may_have_cost, "{name}: cost");
    assert_eq!(failure.counts_for_breaker(), counts_for_breaker, "{name}: breaker");
}

#[test]
fn nothing_sent_is_retried_twice_at_no_cost() {
    for kind in [Kind::Connect, Kind::ConnectTimeout, Kind::Tls] {
        let failure = Failure::new(kind, Phase::NothingSent);
        check(&format!("{kind:?}"), &failure, Row::Retries(2, false), false, true);
    }
}

#[test]
fn partly_sent_is_retried_twice_at_no_cost() {
    for kind in [Kind::Reset, Kind::Closed] {
        let failure = Failure::new(kind, Phase::PartlySent);
        check(&format!("{kind:?}"), &failure, Row::Retries(2, false), false, true);
    }
}

#[test]
fn ambiguous_is_retried_once_and_extends_the_hold() {
    for kind in [Kind::FirstByteTimeout, Kind::Reset, Kind::Closed] {
        let failure = Failure::new(kind, Phase::Ambiguous);
        check(&format!("{kind:?}"), &failure, Row::Retries(1, true), true, true);
    }
}

#[test]
fn server_trouble_is_retried_twice_at_no_cost() {
    for status in [408, 409, 500, 502, 503, 504, 529] {
        let failure = Failure::refused(status);
        check(&status.to_string(), &failure, Row::Retries(2, false), false, true);
    }
}

#[test]
fn too_many_requests_are_retried_twice_and_do_not_open_the_breaker() {
    check("429", &Failure::refused(429), Row::Retries(2, false), false, false);
}

#[test]
fn an_empty_account_and_our_own_mistakes_are_final() {
    let quota = Failure { is_quota: true, ..Failure::refused(429) };
    check("429 quota", &quota, NO_WAY, false, false);
    for status in [301, 302, 400, 401, 403, 404, 413, 422, 418] {
        check(&status.to_string(), &Failure::refused(status), NO_WAY, false, false);
    }
    check("501", &Failure::refused(501), NO_WAY, false, true);
    let invalid = Failure::new(Kind::InvalidRequest, Phase::NothingSent);
    check("invalid request", &invalid, NO_WAY, false, false);
}

#[test]
fn the_providers_own_verdict_is_obeyed_within_the_limits() {
    let yes = Failure { should_retry: Some(true), ..Failure::refused(400) };
    check("400, retry", &yes, Row::Retries(2, false), false, false);
    let no = Failure { should_retry: Some(false), ..Failure::refused(503) };
    check("503, do not", &no, Row::Never(GiveUpReason::ServerSaidNo), false, true);
    // The verdict is about refusals: it never undoes the commit point.
    let committed = Failure { is_committed: true, ..yes };
    check("committed", &committed, Row::Never(GiveUpReason::Committed), true, false);
}

#[test]
fn an_error_event_before_the_first_delta_is_as_its_status_but_may_have_cost() {
    for status in [500, 503, 529] {
        let failure = Failure::refused_in_stream(status);
        check(&status.to_string(), &failure, Row::Retries(2, true), true, true);
    }
    check("429", &Failure::refused_in_stream(429), Row::Retries(2, true), true, false);
    check("400", &Failure::refused_in_stream(400), NO_WAY, true, false);
    let unmapped = Failure::new(Kind::Status, Phase::Streaming);
    check("unmapped", &unmapped, NO_WAY, true, false);
}

#[test]
fn a_cut_after_the_head_and_before_the_first_delta_is_ambiguous() {
    for kind in [Kind::Reset, Kind::Closed, Kind::IdleTimeout, Kind::ProgressTimeout] {
        let failure = Failure::new(kind, Phase::Streaming);
        check(&format!("{kind:?}"), &failure, Row::Retries(1, true), true, true);
    }
}

#[test]
fn nothing_is_retried_after_the_first_delta() {
    for kind in [Kind::Reset, Kind::Closed, Kind::IdleTimeout, Kind::ProgressTimeout] {
        let failure = Failure { is_committed: true, ..Failure::new(kind, Phase::Streaming) };
        check(&format!("{kind:?}"), &failure, Row::Never(GiveUpReason::Committed), true, true);
    }
    let event = Failure { is_committed: true, ..Failure::refused_in_stream(529) };
    check("error event", &event, Row::Never(GiveUpReason::Committed), true, true);
    let malformed =
        Failure { is_committed: true, ..Failure::new(Kind::Malformed, Phase::Streaming) };
    check("malformed", &malformed, Row::Never(GiveUpReason::Committed), true, true);
}

#[test]
fn what_cannot_be_read_is_final_and_settles_the_estimate() {
    for kind in [Kind::Malformed, Kind::TooLarge, Kind::BadContentType] {
        for phase in [Phase::Headers, Phase::Streaming] {
            let failure = Failure::new(kind, phase);
            check(&format!("{kind:?} {phase:?}"), &failure, NO_WAY, true, false);
        }
    }
}

#[test]
fn our_own_deadline_and_stop_are_final() {
    for kind in [Kind::TotalTimeout, Kind::Stopped] {
        for phase in [Phase::Ambiguous, Phase::Streaming] {
            let failure = Failure::new(kind, phase);
            let row = Row::Never(GiveUpReason::DeadlineOrStop);
            check(&format!("{kind:?} {phase:?}"), &failure, row, true, false);
        }
    }
}

#[test]
fn an_ambiguous_failure_after_a_free_one_is_still_retried_once() {
    let policy = RetryPolicy::default();
    let ambiguous = Failure::new(Kind::Reset, Phase::Ambiguous);
    let progress = RetryProgress { attempts_made: 2, ambiguous_retries_made: 0 };
    assert_eq!(
        decide(&policy, progress, &ambiguous, None, 0),
        RetryDecision::Retry { after_ms: 0, ambiguous: true }
    );
    let progress = RetryProgress { attempts_made: 2, ambiguous_retries_made: 1 };
    assert_eq!(
        decide(&policy, progress, &ambiguous, None, 0),
        RetryDecision::GiveUp { reason: GiveUpReason::RetriesUsedUp }
    );
}

fn first(failure: &Failure, deadline_left_ms: Option<u64>, jitter: u64) -> RetryDecision {
    let progress = RetryProgress { attempts_made: 1, ambiguous_retries_made: 0 };
    decide(&RetryPolicy::default(), progress, failure, deadline_left_ms, jitter)
}

fn waits(after_ms: u64) -> RetryDecision {
    RetryDecision::Retry { after_ms, ambiguous: false }
}

fn gives_up(reason: GiveUpReason) -> RetryDecision {
    RetryDecision::GiveUp { reason }
}

#[test]
fn a_wait_the_provider_asks_for_is_obeyed_up_to_a_minute() {
    let asks =
        |status, wait_ms| Failure { retry_after_ms: Some(wait_ms), ..Failure::refused(status) };
    for status in [429, 503] {
        assert_eq!(first(&asks(status, 60_000), None, 7), waits(60_000));
        assert_eq!(first(&asks(status, 0), None, u64::MAX), waits(0));
        let too_late = gives_up(GiveUpReason::RetryAfterTooLong);
        assert_eq!(first(&asks(status, 5_000), Some(5_000), 0), too_late);
        assert_eq!(first(&asks(status, 5_000), Some(5_001), 0), waits(5_000));
    }
    // Beyond a minute: a rate limit is told to the user, server trouble gets our own backoff.
    assert_eq!(first(&asks(429, 60_001), None, 0), gives_up(GiveUpReason::RetryAfterTooLong));
    assert_eq!(first(&asks(503, 60_001), None, u64::MAX), waits(500));
}

#[test]
fn a_wait_that_does_not_fit_the_deadline_is_not_begun() {
    let failure = Failure::refused(503);
    assert_eq!(first(&failure, Some(500), u64::MAX), gives_up(GiveUpReason::DeadlineTooShort));
    assert_eq!(first(&failure, Some(501), u64::MAX), waits(500));
    assert_eq!(first(&failure, Some(0), 0), gives_up(GiveUpReason::DeadlineTooShort));
}

#[test]
fn the_backoff_window_doubles_up_to_its_cap() {
    let policy = RetryPolicy { retries_max: 100, ..RetryPolicy::default() };
    let longest = |attempts_made| {
        let progress = RetryProgress { attempts_made, ambiguous_retries_made: 0 };
        decide(&policy, progress, &Failure::refused(503), None, u64::MAX)
    };
    let windows: Vec<_> = (1..=7).map(longest).collect();
    let expected = [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000].map(waits);
    assert_eq!(windows, expected);
    assert_eq!(longest(90), waits(8_000));
}

#[test]
fn r5_the_jitter_is_flat_over_the_whole_window() {
    let policy = RetryPolicy::default();
    let mut random = fastrand::Rng::with_seed(5);
    for (attempts_made, window_ms) in [(1, 500_u64), (2, 1_000)] {
        let progress = RetryProgress { attempts_made, ambiguous_retries_made: 0 };
        let mut bins = [0_i64; 10];
        for _ in 0..10_000 {
            let decision = decide(&policy, progress, &Failure::refused(503), None, random.u64(..));
            let RetryDecision::Retry { after_ms, .. } = decision else {
                panic!("{decision:?}");
            };
            assert!(after_ms <= window_ms);
            let bin = usize::try_from(after_ms * 10 / (window_ms + 1)).unwrap();
            bins[bin] += 1;
        }
        // Chi-square with 9 degrees of freedom: above 27.9 once in a thousand; times 1,000 to stay in integers.
        let chi_square: i64 = bins.iter().map(|count| (count - 1_000).pow(2)).sum();
        assert!(chi_square < 27_900, "{bins:?}");
    }
}
