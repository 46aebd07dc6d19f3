//! Decimal texts to integers, exactly: no price ever is a floating point number.

/// The largest whole part: a million dollars per unit is a slip of the keyboard, not a price.
const WHOLE_MAX: u64 = 1_000_000;

/// `text` times ten to the `places`: `"0.15"` with 6 places is 150,000.
///
/// # Errors
/// What is wrong with it: a sign, an exponent, a name such as `nan`, more significant decimals than
/// `places` (1 to 9), or more than a million.
pub(crate) fn scaled(text: &str, places: u32) -> Result<u64, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return Err(format!("{text:?} is no decimal number of zero or more, such as \"0.15\""));
    }
    let decimals = decimals.trim_end_matches('0');
    let missing = u32::try_from(decimals.len())
        .ok()
        .and_then(|len| places.checked_sub(len))
        .ok_or_else(|| format!("{text:?} has more than {places} decimals"))?;
    let too_large = || format!("{text:?} is more than {WHOLE_MAX}");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    if whole > WHOLE_MAX {
        return Err(too_large());
    }
    let decimals: u64 =
        if decimals.is_empty() { 0 } else { decimals.parse().map_err(|_| too_large())? };
    let scale = 10_u64.checked_pow(places).ok_or_else(too_large)?;
    let fraction = 10_u64.checked_pow(missing).and_then(|scale| decimals.checked_mul(scale));
    whole
        .checked_mul(scale)
        .zip(fraction)
        .and_then(|(whole, fraction)| whole.checked_add(fraction))
        .ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, value) in [
            ("0", 0),
            ("0.15", 150_000),
            ("2.50", 2_500_000),
            ("0.000001", 1),
            ("0.10000000", 100_000),
            ("1000000", 1_000_000_000_000),
        ] {
            assert_eq!(scaled(text, 6), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in
            ["", "-1", "+1", "nan", "inf", "1e3", ".5", "5.", "1_0", " 1", "0.0000001", "1000001"]
        {
            assert!(scaled(text, 6).is_err(), "{text:?} was accepted");
        }
        assert!(scaled(&"9".repeat(100), 6).is_err());
    }
}
