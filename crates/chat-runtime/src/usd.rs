//! Amounts of money as people write them: decimal US dollars to integers, exactly.

use chat_types::Money;

/// Nano-USD have nine decimals.
const PLACES: usize = 9;

/// A text that is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no amount in US dollars: {rule}")]
pub struct InvalidAmount {
    text: String,
    rule: &'static str,
}

/// Reads `12`, `12.5` or `$12.50`: not negative, at most nine decimals, nothing rounded.
///
/// # Errors
/// `InvalidAmount` saying which rule was broken.
pub fn parse_usd(text: &str) -> Result<Money, InvalidAmount> {
    let refuse = |rule| InvalidAmount {
        // Enough to recognise it; an argument may be megabytes.
        text: text.chars().take(40).collect(),
        rule,
    };
    let digits = text.strip_prefix('$').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(refuse("write it as 12 or 12.50"));
    }
    if fraction.len() > PLACES {
        return Err(refuse("it has more than nine decimals"));
    }
    let too_large = || refuse("it is larger than 9.2 billion");
    let whole: i64 = whole.parse().map_err(|_| too_large())?;
    let nano: i64 = format!("{fraction:0<PLACES$}").parse().map_err(|_| too_large())?;
    let whole = Money::from_usd(whole).map_err(|_| too_large())?;
    whole.plus(Money::from_nano_usd(nano)).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        for (text, nano) in [
            ("0", Some(0)),
            ("12", Some(12_000_000_000)),
            ("$1.50", Some(1_500_000_000)),
            ("0.000000001", Some(1)),
            ("9223372036.854775807", Some(i64::MAX)),
            ("9223372036.854775808", None),
            ("0.0000000001", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1.", None),
        ] {
            assert_eq!(parse_usd(text).ok(), nano.map(Money::from_nano_usd), "{text}");
        }
    }
}
