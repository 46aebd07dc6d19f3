//! Refills: when an account is filled again, as a pure function of schedule and time.
//!
//! Periods are calendar periods in a time zone (minutes and hours in UTC), counted from 1970-01-01,
//! weeks from a Monday: `start` of a moment does not depend on who asks or when anything happened
//! before. Not here: what a refill does to an account (`rules`).

use chat_types::{Money, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The longest period in its own units: more is a slip of the keyboard.
const EVERY_MAX: u32 = 10_000;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// What a refill does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefillMode {
    /// Adds the amount for every period that has begun since.
    Add,
    /// Makes the balance (open holds included) the amount, once for the newest period: what is
    /// missing is granted, what is too much runs out.
    Reset,
}

impl RefillMode {
    /// The name it is written down by: `add` or `reset`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Reset => "reset",
        }
    }

    /// The mode of such a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Add, Self::Reset].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// How an account is filled again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refill {
    /// What it does.
    pub mode: RefillMode,
    /// How much, in the account's unit; more than zero.
    pub amount: Money,
    /// When.
    pub period: Period,
}

/// What a period is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeriodUnit {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

impl PeriodUnit {
    /// The name it is written down by: `minute`, `hour`, `day`, `week` or `month`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The unit of such a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month]
            .into_iter()
            .find(|unit| unit.as_str() == name)
    }
}

/// A recurring stretch of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    every: u32,
    unit: PeriodUnit,
    zone: TimeZone,
}

/// A period that is none; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidPeriod {
    reason: String,
}

impl Period {
    /// Every so many units in a time zone of the IANA database, for example `Europe/Berlin`.
    ///
    /// # Errors
    /// `InvalidPeriod` for none or more than ten thousand, or an unknown time zone.
    pub fn new(every: u32, unit: PeriodUnit, time_zone: &str) -> Result<Self, InvalidPeriod> {
        if every == 0 || every > EVERY_MAX {
            let reason = format!("a period is 1 to {EVERY_MAX} units long, not {every}");
            return Err(InvalidPeriod { reason });
        }
        // `Etc/Unknown` is in the database, and is no zone: it has no name to be found by again.
        let zone = TimeZone::get(time_zone).ok().filter(|zone| zone.iana_name().is_some());
        let zone = zone.ok_or_else(|| InvalidPeriod {
            reason: format!("{time_zone:?} is no time zone such as UTC or Europe/Berlin"),
        })?;
        Ok(Self { every, unit, zone })
    }

    /// How many units long it is, 1 to 10,000.
    #[must_use]
    pub fn every(&self) -> u32 {
        self.every
    }

    /// What it is counted in.
    #[must_use]
    pub fn unit(&self) -> PeriodUnit {
        self.unit
    }

    /// Where its days begin, as the database spells it, for example `Europe/Berlin`: with it,
    /// [`Period::new`] makes the same period.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first moment of the period that `at` is in; never after `at`.
    #[must_use]
    pub fn start(&self, at: Timestamp) -> Timestamp {
        // Where a day begins twice or not at all, the calendar's date may begin after `at`.
        let number = self.number(at);
        let start = self.begin(number);
        if start <= at { start } else { self.begin(number.saturating_sub(1)) }
    }

    /// The first moment of the period after the one `at` is in.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Timestamp {
        let number = self.number(self.start(at));
        let next = self.begin(number.saturating_add(1));
        if next > at { next } else { self.begin(number.saturating_add(2)) }
    }

    /// How many periods have begun after the one `since` is in, up to the one `at` is in.
    #[must_use]
    pub fn begun(&self, since: Timestamp, at: Timestamp) -> u64 {
        let (since, at) = (self.number(self.start(since)), self.number(self.start(at)));
        u64::try_from(at.saturating_sub(since)).unwrap_or(0)
    }

    /// Counted from the period that 1970-01-01 is in.
    fn number(&self, at: Timestamp) -> i64 {
        let single = match self.unit {
            PeriodUnit::Minute => at.unix_ms().div_euclid(MINUTE_MS),
            PeriodUnit::Hour => at.unix_ms().div_euclid(HOUR_MS),
            PeriodUnit::Day => days_of(self.date(at)),
            PeriodUnit::Week => days_of(self.date(at)).saturating_add(3).div_euclid(7),
            PeriodUnit::Month => {
                let date = self.date(at);
                i64::from(date.year()) * 12 + i64::from(date.month()) - 1 - 1970 * 12
            }
        };
        single.div_euclid(i64::from(self.every))
    }

    /// The first moment of a period.
    fn begin(&self, number: i64) -> Timestamp {
        let single = number.saturating_mul(i64::from(self.every));
        let days = match self.unit {
            PeriodUnit::Minute => {
                return Timestamp::from_unix_ms(single.saturating_mul(MINUTE_MS));
            }
            PeriodUnit::Hour => return Timestamp::from_unix_ms(single.saturating_mul(HOUR_MS)),
            PeriodUnit::Day => Some(single),
            PeriodUnit::Week => single.checked_mul(7).and_then(|days| days.checked_sub(3)),
            PeriodUnit::Month => None,
        };
        let date = match days {
            Some(days) => date_of(days),
            None => first_of(single),
        };
        let begin = date.and_then(|date| date.to_zoned_datetime(self.zone.clone()).ok());
        // Beyond the calendar one period lasts for ever.
        let beyond = if number < 0 { i64::MIN } else { i64::MAX };
        begin.map_or(Timestamp::from_unix_ms(beyond), |begin| {
            Timestamp::from_unix_ms(begin.timestamp().as_millisecond())
        })
    }

    fn date(&self, at: Timestamp) -> Date {
        let instant = jiff::Timestamp::from_millisecond(at.unix_ms());
        let beyond = if at.unix_ms() < 0 { Date::MIN } else { Date::MAX };
        instant.map_or(beyond, |instant| instant.to_zoned_datetime(self.zone.clone()).date())
    }
}

/// Days since 1970-01-01.
fn days_of(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    epoch.until(date).map_or(0, |span| i64::from(span.get_days()))
}

fn date_of(days: i64) -> Option<Date> {
    let span = jiff::Span::new().try_days(days).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok()
}

/// The first day of a month counted from 1970-01.
fn first_of(months: i64) -> Option<Date> {
    let span = jiff::Span::new().try_months(months).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok()
}
