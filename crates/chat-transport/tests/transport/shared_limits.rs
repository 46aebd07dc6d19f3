//! Breaker and budget on a clock of numbers, and R4: no retry storm.

use std::collections::BTreeMap;

use chat_transport::{
    Breaker, BreakerConfig, BreakerOpen, BreakerState, Failure, ProviderHealth, RetryBudget,
    RetryBudgetConfig,
};

fn breaker() -> Breaker {
    Breaker::new(BreakerConfig::default())
}

#[test]
fn the_breaker_opens_at_half_of_twenty_calls() {
    let mut breaker = breaker();
    for _ in 0..10 {
        breaker.record_success(0);
    }
    for _ in 0..9 {
        breaker.record_failure(0);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.record_failure(0);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit(1_000), Err(BreakerOpen { retry_after_ms: 4_000 }));
}

#[test]
fn nineteen_failures_conclude_nothing() {
    let mut breaker = breaker();
    for _ in 0..19 {
        breaker.record_failure(0);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.admit(0), Ok(()));
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let mut breaker = breaker();
    for _ in 0..19 {
        breaker.record_failure(0);
    }
    breaker.record_failure(30_000);
    assert_eq!(breaker.state(), BreakerState::Closed);
    // The same second of a later lap of the ring starts from zero.
    for _ in 0..18 {
        breaker.record_failure(60_000);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

fn open_at(now_ms: u64) -> Breaker {
    let mut breaker = breaker();
    for _ in 0..20 {
        breaker.record_failure(now_ms);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn an_open_breaker_lets_one_probe_pass_every_five_seconds() {
    let mut breaker = open_at(0);
    let admitted: Vec<u64> = (0..=20_000).filter(|now_ms| breaker.admit(*now_ms).is_ok()).collect();
    assert_eq!(admitted, [5_000, 10_000, 15_000, 20_000]);
}

#[test]
fn a_probe_that_succeeds_closes_and_one_that_fails_does_not() {
    let mut breaker = open_at(0);
    assert_eq!(breaker.admit(5_000), Ok(()));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record_failure(5_100);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit(10_000), Ok(()));
    breaker.record_success(10_100);
    assert_eq!(breaker.state(), BreakerState::Closed);
    // The window starts afresh: one more failure opens nothing.
    breaker.record_failure(10_200);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_late_success_from_before_the_outage_closes_nothing() {
    let mut breaker = open_at(0);
    breaker.record_success(1_000);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn the_budget_is_a_fifth_of_the_calls_and_ten_a_second() {
    let mut budget = RetryBudget::new(RetryBudgetConfig::default());
    for _ in 0..1_000 {
        budget.record_call(0);
    }
    let allowed = (0..1_000).filter(|_| budget.try_retry(9_999)).count();
    assert_eq!(allowed, 300);
    // Ten seconds later the calls are forgotten, one more second later the retries too.
    assert!(!budget.try_retry(10_000));
    let allowed = (0..1_000).filter(|_| budget.try_retry(19_999)).count();
    assert_eq!(allowed, 100);
}

/// 200 calls a second for `heal_at_ms`, all refused with 503, then 20 s of health; the attempts per second.
fn outage(health: &ProviderHealth, heal_at_ms: u64) -> (Vec<u64>, Option<u64>) {
    let failure = Failure::refused(503);
    let mut upstream = vec![0_u64; usize::try_from(heal_at_ms / 1_000).unwrap() + 20];
    // Attempts that are due: time → how many retries each has left.
    let mut due: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let mut recovered_at_ms = None;
    for now_ms in 0..heal_at_ms + 20_000 {
        let mut attempts = due.remove(&now_ms).unwrap_or_default();
        if now_ms % 5 == 0 {
            health.record_call(now_ms);
            attempts.push(2);
        }
        for retries_left in attempts {
            if health.admit(now_ms).is_err() {
                continue;
            }
            upstream[usize::try_from(now_ms / 1_000).unwrap()] += 1;
            if now_ms >= heal_at_ms {
                health.record_success(now_ms);
                continue;
            }
            health.record_failure(&failure, now_ms);
            if retries_left > 0 && health.try_retry(now_ms) {
                due.entry(now_ms + 250).or_default().push(retries_left - 1);
            }
        }
        if now_ms >= heal_at_ms
            && recovered_at_ms.is_none()
            && health.breaker_state() == BreakerState::Closed
        {
            recovered_at_ms = Some(now_ms);
        }
    }
    (upstream, recovered_at_ms)
}

#[test]
fn r4_the_budget_alone_prevents_a_storm() {
    let never_opens = BreakerConfig { calls_min: u64::MAX, ..BreakerConfig::default() };
    let health = ProviderHealth::new(never_opens, RetryBudgetConfig::default());
    let (upstream, _) = outage(&health, 60_000);
    let most: u64 = 10 * (200 * 12 / 10 + 10);
    for window in upstream[..60].windows(10) {
        assert!(window.iter().sum::<u64>() <= most, "{window:?}");
    }
    let sum: u64 = upstream[..60].iter().sum();
    assert!(sum > 60 * 200, "retries do happen: {sum}");
}

#[test]
fn r4_the_breaker_spares_a_dead_provider_and_finds_it_again() {
    let health = ProviderHealth::default();
    let (upstream, recovered_at_ms) = outage(&health, 60_000);
    let sum: u64 = upstream[..60].iter().sum();
    assert!(sum < 100, "{upstream:?}");
    let recovered_at_ms = recovered_at_ms.unwrap();
    assert!(recovered_at_ms < 70_000, "{recovered_at_ms}");
    assert_eq!(upstream[79], 200, "all calls pass again");
}

#[test]
fn refusals_that_are_our_fault_keep_the_breaker_closed() {
    let health = ProviderHealth::default();
    for status in [400, 401, 404, 429].repeat(20) {
        health.record_failure(&Failure::refused(status), 0);
    }
    assert_eq!(health.breaker_state(), BreakerState::Closed);
}
