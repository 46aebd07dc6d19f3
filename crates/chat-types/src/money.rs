//! Money and prices as integers.
//!
//! Money is nano-USD in an `i64` (±9.2 billion USD); a price is pico-USD per token in a `u64`.
//! Arithmetic is checked. Not here: price tables and rounding of a whole entry (`chat-usage`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount that does not fit, which is an error and never a wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount of money is outside ±9.2 billion USD")]
pub struct MoneyOverflow;

/// Nano-USD: 1 USD is 1,000,000,000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// Wraps nano-USD.
    #[must_use]
    pub const fn from_nano_usd(nano_usd: i64) -> Self {
        Self(nano_usd)
    }

    /// Whole US dollars.
    ///
    /// # Errors
    /// `MoneyOverflow` beyond 9.2 billion.
    pub fn from_usd(usd: i64) -> Result<Self, MoneyOverflow> {
        usd.checked_mul(1_000_000_000).map(Self).ok_or(MoneyOverflow)
    }

    /// The amount in nano-USD.
    #[must_use]
    pub const fn nano_usd(self) -> i64 {
        self.0
    }

    /// Adds.
    ///
    /// # Errors
    /// `MoneyOverflow` if the sum does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyOverflow> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyOverflow)
    }

    /// Subtracts.
    ///
    /// # Errors
    /// `MoneyOverflow` if the difference does not fit.
    pub fn minus(self, other: Self) -> Result<Self, MoneyOverflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyOverflow)
    }

    /// Sums, checked at every step.
    ///
    /// # Errors
    /// `MoneyOverflow` if a partial sum does not fit.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyOverflow> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// Below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for Money {
    /// Dollars with the nine decimals cut to what is significant, at least two: `$0.00`, `$0.000123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let absolute = self.0.unsigned_abs();
        let (whole, nano) = (absolute / 1_000_000_000, absolute % 1_000_000_000);
        let digits = format!("{nano:09}");
        let significant = digits.trim_end_matches('0').len().max(2);
        let shown = digits.get(..significant).unwrap_or(&digits);
        write!(f, "{sign}${whole}.{shown}")
    }
}

/// Pico-USD per token: 1 USD per million tokens is 1,000,000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price(u64);

impl Price {
    /// Free of charge, said explicitly.
    pub const FREE: Self = Self(0);

    /// Wraps pico-USD per token.
    #[must_use]
    pub const fn from_pico_usd_per_token(pico_usd: u64) -> Self {
        Self(pico_usd)
    }

    /// Pico-USD per token.
    #[must_use]
    pub const fn pico_usd_per_token(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_in_dollars_with_what_is_significant() {
        for (nano, shown) in [
            (0, "$0.00"),
            (1, "$0.000000001"),
            (1_500_000_000, "$1.50"),
            (-20_000_000, "-$0.02"),
            (i64::MIN, "-$9223372036.854775808"),
        ] {
            assert_eq!(Money::from_nano_usd(nano).to_string(), shown);
        }
    }

    #[test]
    fn sums_never_wrap() {
        assert_eq!(Money::MAX.plus(Money::from_nano_usd(1)), Err(MoneyOverflow));
        assert_eq!(
            Money::from_nano_usd(i64::MIN).minus(Money::from_nano_usd(1)),
            Err(MoneyOverflow)
        );
        assert_eq!(Money::from_usd(i64::MAX), Err(MoneyOverflow));
    }
}
