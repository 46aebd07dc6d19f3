//! What a provider says that a call cost, from its decimal text to money.
//!
//! Exactly, and rounded up to a nano-USD once: the text never becomes a floating point number.
//! Not here: whether a provider's word counts (the core), what a call costs by the book
//! (`chat-usage`).

use chat_types::Money;

/// A cost above this is a slip, not a price: 1,000 USD are ten times the dearest call of any list.
pub const REPORTED_COST_MAX: Money = Money::from_nano_usd(1_000_000_000_000);

/// Longer texts are no costs: a number written with all its digits has some 25 characters.
const TEXT_BYTES_MAX: usize = 128;

/// Decimals of a US dollar that money has.
const NANO_PLACES: i64 = 9;

/// A reported cost that nobody can be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCost {
    /// It is no decimal number: empty, a name such as `NaN`, or far too long.
    #[error("the reported cost is no decimal number")]
    NotANumber,
    /// It has a minus sign.
    #[error("the reported cost is negative")]
    Negative,
    /// It is more than [`REPORTED_COST_MAX`].
    #[error("the reported cost is more than {REPORTED_COST_MAX}")]
    TooLarge,
}

/// A cost in US dollars, as JSON writes numbers (`0.00012`, `1.2e-4`), rounded up to a nano-USD.
///
/// # Errors
/// `InvalidCost`: charge what the price book says instead.
pub fn reported_cost(text: &str) -> Result<Money, InvalidCost> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(InvalidCost::NotANumber);
    }
    if let Some(rest) = text.strip_prefix('-') {
        // What is no number is not a negative one either.
        return Err(amount(rest).map_or_else(|error| error, |_| InvalidCost::Negative));
    }
    check_reported_cost(amount(text)?)
}

/// Whether somebody can be charged this: for costs that did not come from a text.
///
/// # Errors
/// `Negative`; `TooLarge`.
pub fn check_reported_cost(cost: Money) -> Result<Money, InvalidCost> {
    if cost.is_negative() {
        return Err(InvalidCost::Negative);
    }
    if cost > REPORTED_COST_MAX {
        return Err(InvalidCost::TooLarge);
    }
    Ok(cost)
}

fn amount(text: &str) -> Result<Money, InvalidCost> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, self::exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return Err(InvalidCost::NotANumber);
    }
    // So many digits stand before the point of the nano-USD; what follows them rounds up.
    let whole_len = i64::try_from(whole.len()).map_err(|_| InvalidCost::NotANumber)?;
    let mut digits_left = whole_len.saturating_add(exponent).saturating_add(NANO_PLACES);
    let mut nano = 0_i64;
    let mut rest = 0_i64;
    for digit in whole.bytes().chain(decimals.bytes()).map(|byte| i64::from(byte - b'0')) {
        if digits_left > 0 {
            nano = times_ten(nano)?.checked_add(digit).ok_or(InvalidCost::TooLarge)?;
        } else {
            rest = rest.max(digit);
        }
        digits_left -= 1;
    }
    while digits_left > 0 && nano > 0 {
        nano = times_ten(nano)?;
        digits_left -= 1;
    }
    nano.checked_add(i64::from(rest > 0)).map(Money::from_nano_usd).ok_or(InvalidCost::TooLarge)
}

fn times_ten(nano: i64) -> Result<i64, InvalidCost> {
    nano.checked_mul(10).ok_or(InvalidCost::TooLarge)
}

/// An exponent of up to 18 digits; the sums it goes into saturate.
fn exponent(text: &str) -> Result<i64, InvalidCost> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidCost::NotANumber);
    }
    text.parse().map_err(|_| InvalidCost::NotANumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_read_exactly_and_rounded_up_once() {
        for (text, nano) in [
            ("0", 0),
            ("0.0", 0),
            ("0e5", 0),
            ("0e999999999999999999", 0),
            ("0.00012", 120_000),
            ("1.2e-4", 120_000),
            ("1.2E-04", 120_000),
            ("12e-5", 120_000),
            ("0.0000000001", 1),
            ("0.0000000010", 1),
            ("0.00000000101", 2),
            ("1e-999999", 1),
            ("0.30000000000000004", 300_000_001),
            ("1e3", 1_000_000_000_000),
            ("1000.000000000", 1_000_000_000_000),
            ("00001.5", 1_500_000_000),
        ] {
            assert_eq!(reported_cost(text), Ok(Money::from_nano_usd(nano)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_charged_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "NaN", "inf", "1e", "1e+", "e1", "1 ", "0x1", "1_0"]
        {
            assert_eq!(reported_cost(text), Err(InvalidCost::NotANumber), "{text}");
        }
        assert_eq!(reported_cost(&"0".repeat(129)), Err(InvalidCost::NotANumber));
        for text in ["-1", "-0.00001", "-0"] {
            assert_eq!(reported_cost(text), Err(InvalidCost::Negative), "{text}");
        }
        for text in ["1000.0000000001", "1e4", "1e999999", "9223372037", "99999999999999999999999"]
        {
            assert_eq!(reported_cost(text), Err(InvalidCost::TooLarge), "{text}");
        }
        assert_eq!(check_reported_cost(Money::from_nano_usd(-1)), Err(InvalidCost::Negative));
        assert_eq!(check_reported_cost(Money::MAX), Err(InvalidCost::TooLarge));
    }
}
