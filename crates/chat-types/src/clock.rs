//! Time and new ids, passed in so that tests decide both.
//!
//! The only place that reads the system clock or makes a random id.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::{fmt, time};

use serde::{Deserialize, Serialize};

use crate::{ConversationId, InvalidId, MessageId, OwnerId, TurnId};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This moment moved by `ms` (may be negative), stopping at the ends of the range.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How many milliseconds lie between `earlier` and this moment; negative if it is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    /// To the minute: `2026-01-31 12:05 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.div_euclid(60_000);
        let (year, month, day) = date(minutes.div_euclid(1_440));
        let minute_of_day = minutes.rem_euclid(1_440);
        let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

/// Year, month and day of a number of days since 1970-01-01, counting years from March.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one door to the system clock")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `now`.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Makes new ids; the text must satisfy the rule of every id type.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// A text that no earlier call returned.
    fn next_id(&self) -> String;
}

/// Time-ordered UUIDs (version 7).
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidIds;

impl IdSource for UuidIds {
    #[expect(clippy::disallowed_methods, reason = "the one door to random ids")]
    fn next_id(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
}

/// `prefix-1`, `prefix-2`, …: readable ids for tests and examples.
#[derive(Debug)]
pub struct SequentialIds {
    prefix: String,
    last: AtomicU64,
}

impl SequentialIds {
    /// Starts counting after `prefix`.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), last: AtomicU64::new(0) }
    }
}

impl IdSource for SequentialIds {
    fn next_id(&self) -> String {
        let number = self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        format!("{}-{number}", self.prefix)
    }
}

/// Typed short forms over any `IdSource`.
pub trait IdSourceExt: IdSource {
    /// A new message id.
    ///
    /// # Errors
    /// `InvalidId` if the source made a text that breaks the rule of ids.
    fn message_id(&self) -> Result<MessageId, InvalidId> {
        MessageId::new(self.next_id())
    }

    /// A new conversation id.
    ///
    /// # Errors
    /// As for [`IdSourceExt::message_id`].
    fn conversation_id(&self) -> Result<ConversationId, InvalidId> {
        ConversationId::new(self.next_id())
    }

    /// A new turn id.
    ///
    /// # Errors
    /// As for [`IdSourceExt::message_id`].
    fn turn_id(&self) -> Result<TurnId, InvalidId> {
        TurnId::new(self.next_id())
    }

    /// A new owner id.
    ///
    /// # Errors
    /// As for [`IdSourceExt::message_id`].
    fn owner_id(&self) -> Result<OwnerId, InvalidId> {
        OwnerId::new(self.next_id())
    }
}

impl<S: IdSource + ?Sized> IdSourceExt for S {}
