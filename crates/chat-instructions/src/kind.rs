//! The kinds of values that change from turn to turn, and what to do about each.

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VolatileKind {
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A day with its time, or seconds since 1970.
    Timestamp,
    /// A UUID.
    Uuid,
    /// A hash or another random id.
    Id,
    /// A number that counts turns, messages or requests.
    Counter,
}

impl VolatileKind {
    /// Stable, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
            Self::Id => "id",
            Self::Counter => "counter",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Date | Self::Time | Self::Timestamp => {
                "declare the block volatile, or say it in the user's message"
            }
            Self::Uuid | Self::Id => {
                "declare the block volatile if it changes, or leave it out: models seldom need ids"
            }
            Self::Counter => "declare the block volatile, or leave it out",
        }
    }
}
