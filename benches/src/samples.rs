//! What is done with measured values: elapsed times, counts as numbers, percentiles.

use std::time::Instant;

/// The value below which `percent` of `samples` lie; 0 without samples.
pub(crate) fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = samples.len().saturating_sub(1).saturating_mul(percent) / 100;
    samples.get(at).copied().unwrap_or(0.0)
}

/// Since `start`.
pub(crate) fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

/// A count to calculate with; every count here fits 32 bits.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(0.0, f64::from)
}
