//! Moments as people read them, in UTC.

use chat_runtime::types::Timestamp;

/// `2026-01-31 12:05`.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_string().trim_end_matches(" UTC").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
