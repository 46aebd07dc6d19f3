//! Moments as people read them, in UTC.

use chat_runtime::types::Timestamp;

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// `2026-01-31 12:05`.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_string().trim_end_matches(" UTC").to_owned()
}

/// `2026-01-31`.
pub(crate) fn day(at: Timestamp) -> String {
    moment(at).split(' ').next().unwrap_or_default().to_owned()
}

/// The first moment of a day written `2026-01-31`.
///
/// # Errors
/// What is wrong with the text, for the command line.
pub(crate) fn day_start(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no day such as 2026-01-31");
    let is_digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.splitn(3, '-').filter(is_digits).map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day_of_month))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    if text.len() != 10 || !(1..=12).contains(&month) {
        return Err(wrong());
    }
    // Days since 1970-01-01 of a Gregorian date, counting years from March.
    let year_from_march = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month - 1;
    let leap_days = year_from_march.div_euclid(4) - year_from_march.div_euclid(100)
        + year_from_march.div_euclid(400);
    let days = year_from_march * 365 + leap_days + day_of_year - 719_468;
    let at = Timestamp::from_unix_ms(days * DAY_MS);
    // A day that the month does not have comes out as another one.
    if day(at) == text { Ok(at) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_it_is_shown() {
        for text in ["1970-01-01", "2000-02-29", "2026-12-31", "0001-01-01", "9999-12-31"] {
            assert_eq!(day_start(text).map(day), Ok(text.to_owned()));
        }
        for text in
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "", "today", "2026-01-1x"]
        {
            assert!(day_start(text).is_err(), "{text:?} was accepted");
        }
        assert!(day_start("-026-01-01").is_err() && day_start("2026-+1-01").is_err());
    }

    #[test]
    fn moments_are_dates_of_the_calendar() {
        for (unix_ms, shown) in [
            (0, "1970-01-01 00:00"),
            (951_782_400_000, "2000-02-29 00:00"),
            (1_798_761_599_000, "2026-12-31 23:59"),
            (-1, "1969-12-31 23:59"),
        ] {
            assert_eq!(moment(Timestamp::from_unix_ms(unix_ms)), shown);
        }
    }
}
