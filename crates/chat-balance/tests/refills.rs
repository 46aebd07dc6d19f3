//! Laws of the calendar, for every unit and in zones with odd midnights.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_balance::{Period, PeriodUnit, RefillMode};
use chat_types::Timestamp;
use proptest::prelude::*;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
];

fn unit() -> impl Strategy<Value = PeriodUnit> {
    prop::sample::select(vec![
        PeriodUnit::Minute,
        PeriodUnit::Hour,
        PeriodUnit::Day,
        PeriodUnit::Week,
        PeriodUnit::Month,
    ])
}

/// 1980 to 2080.
fn moment() -> impl Strategy<Value = Timestamp> {
    (315_532_800_000_i64..3_471_292_800_000).prop_map(Timestamp::from_unix_ms)
}

fn period() -> impl Strategy<Value = Period> {
    (1..40_u32, unit(), prop::sample::select(&ZONES[..]))
        .prop_map(|(every, unit, zone)| Period::new(every, unit, zone).unwrap())
}

fn ms(text: &str) -> Timestamp {
    Timestamp::from_unix_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

proptest! {
    #[test]
    fn every_moment_is_in_one_period(period in period(), at in moment()) {
        let (start, next) = (period.start(at), period.next(at));
        prop_assert!(start <= at && at < next, "{start} {at} {next}");
        prop_assert_eq!(period.start(start), start);
        prop_assert_eq!(period.start(next.plus_ms(-1)), start);
        prop_assert_eq!(period.start(next), next);
        prop_assert_eq!(period.begun(start, at), 0);
        prop_assert_eq!(period.begun(start, next), 1);
    }

    #[test]
    fn periods_are_counted_alike_whoever_looks_in_between(
        period in period(), moments in prop::collection::vec(moment(), 2..12),
    ) {
        let mut moments = moments;
        moments.sort();
        let (first, last) = (moments[0], moments[moments.len() - 1]);
        let steps: u64 = moments.windows(2).map(|pair| period.begun(pair[0], pair[1])).sum();
        prop_assert_eq!(period.begun(first, last), steps);
        prop_assert_eq!(period.begun(last, first), 0);
    }
}

#[test]
fn days_begin_where_people_are() {
    for (zone, at, start, next) in [
        ("UTC", "2026-03-29T10:00:00Z", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"),
        // 23 hours: the clocks go forward.
        ("Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        // Midnight does not exist: the day begins at one.
        ("America/Havana", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    ] {
        let day = Period::new(1, PeriodUnit::Day, zone).unwrap();
        assert_eq!((day.start(ms(at)), day.next(ms(at))), (ms(start), ms(next)), "{zone}");
    }
    let month = Period::new(1, PeriodUnit::Month, "Europe/Berlin").unwrap();
    assert_eq!(month.start(ms("2026-02-15T00:00:00Z")), ms("2026-01-31T23:00:00Z"));
    let week = Period::new(1, PeriodUnit::Week, "UTC").unwrap();
    assert_eq!(week.start(ms("2026-11-29T12:00:00Z")), ms("2026-11-23T00:00:00Z"));
}

#[test]
fn what_is_no_period_is_refused_by_name() {
    for (every, zone, named) in [
        (0, "UTC", "not 0"),
        (10_001, "UTC", "10001"),
        (1, "Mars/Base", "Mars/Base"),
        (1, "Etc/Unknown", "Unknown"),
    ] {
        let refused = Period::new(every, PeriodUnit::Day, zone).unwrap_err().to_string();
        assert!(refused.contains(named), "{refused}");
    }
}

#[test]
fn a_period_can_be_written_down_and_made_again() {
    for zone in ["UTC", "Europe/Berlin", "america/new_york"] {
        let period = Period::new(3, PeriodUnit::Week, zone).unwrap();
        let unit = PeriodUnit::from_name(period.unit().as_str()).unwrap();
        let again = Period::new(period.every(), unit, period.time_zone()).unwrap();
        assert_eq!(again, period, "{zone}");
        assert!(period.time_zone().eq_ignore_ascii_case(zone), "{}", period.time_zone());
    }
    assert_eq!(PeriodUnit::from_name("fortnight"), None);
    assert_eq!(RefillMode::from_name(RefillMode::Reset.as_str()), Some(RefillMode::Reset));
}
