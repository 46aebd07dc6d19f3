//! What a provider's response headers say about trying again.
//!
//! Reads `retry-after-ms`, `retry-after` in seconds (whole or with a fraction), `x-should-retry` and the request id.
//! The date form of `retry-after` is ignored: no model provider sends it and it needs a trusted wall clock.

use http::HeaderMap;

/// The longest request id that is kept, in bytes; real ones have 20 to 60.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The headers that carry a provider's request id, in the order in which they are asked.
const REQUEST_ID_HEADERS: [&str; 4] = ["x-request-id", "request-id", "x-goog-request-id", "cf-ray"];

/// Advice found in response headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHints {
    /// How long to wait, in milliseconds; `retry-after-ms` wins over `retry-after`.
    pub retry_after_ms: Option<u64>,
    /// The provider's verdict, `None` when it gave none or something other than `true` and `false`.
    pub should_retry: Option<bool>,
    /// The provider's id of the request: visible ASCII, at most 128 bytes.
    pub request_id: Option<String>,
}

impl ResponseHints {
    /// Reads the hints; a header that cannot be read counts as absent.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let exact_ms = text("retry-after-ms").and_then(|value| scaled_decimal(value, 1));
        let seconds = || text("retry-after").and_then(|value| scaled_decimal(value, 1_000));
        Self {
            retry_after_ms: exact_ms.or_else(seconds),
            should_retry: match text("x-should-retry") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                Some(_) | None => None,
            },
            request_id: REQUEST_ID_HEADERS
                .into_iter()
                .find_map(text)
                .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX)
                .map(str::to_owned),
        }
    }
}

/// Reads a plain decimal such as `1.5` and multiplies it by `scale` (1 or 1,000), rounding up.
///
/// `None` for signs, exponents, words and numbers that do not fit.
fn scaled_decimal(text: &str, scale: u64) -> Option<u64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut weight = scale;
    let mut part = 0_u64;
    let mut has_rest = false;
    for digit in fraction.bytes().map(|byte| u64::from(byte.saturating_sub(b'0'))) {
        if weight < 10 {
            has_rest = has_rest || digit > 0;
        } else {
            weight /= 10;
            part = part.checked_add(digit.checked_mul(weight)?)?;
        }
    }
    whole.checked_add(part)?.checked_add(u64::from(has_rest))
}
