//! The arithmetic that both models share: plain loops that the compiler makes vector instructions of.

/// Turns scores into shares that add up to one.
pub(crate) fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score = exponential(*score - highest);
    }
    let total: f32 = scores.iter().sum();
    for score in scores.iter_mut() {
        *score /= total;
    }
}

/// `e` to the power of `value`, right to a few parts in ten million, in operations that the compiler
/// can do on several values at once: attention over a long prompt is mostly this. Values beyond
/// what a float can hold are taken as the nearest that it can.
pub(crate) fn exponential(value: f32) -> f32 {
    /// Adding it rounds to a whole number and leaves that number in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// The exponent bits of 1.0.
    const EXPONENT_BIAS: u32 = 127;
    let value = value.clamp(-87.0, 88.0);
    let rounded = value * std::f32::consts::LOG2_E + ROUNDER;
    let twos = rounded - ROUNDER;
    let rest = value - twos * LN_2_HIGH - twos * LN_2_LOW;
    let series = 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = series * rest + 1.0;
    let series = series * rest + 1.0;
    // Shifting the exponent into its place drops what the rounder added above it.
    series * f32::from_bits(rounded.to_bits().wrapping_add(EXPONENT_BIAS) << 23)
}

/// The Gaussian error linear unit, exact to some ten-millionths: `x` times the share of the normal
/// distribution below it.
pub(crate) fn gelu(value: f32) -> f32 {
    0.5 * value * (1.0 + error_function(value * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function by Abramowitz and Stegun 7.1.26: off by 2 parts in ten million at most.
fn error_function(value: f32) -> f32 {
    let size = value.abs();
    let step = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = 1.061_405_4;
    let series = series * step - 1.453_152;
    let series = series * step + 1.421_413_7;
    let series = series * step - 0.284_496_74;
    let series = series * step + 0.254_829_6;
    (1.0 - series * step * exponential(-size * size)).copysign(value)
}

pub(crate) fn add(targets: &mut [f32], values: &[f32]) {
    for (target, value) in targets.iter_mut().zip(values) {
        *target += value;
    }
}

/// Eight running sums, so that the compiler may use vector instructions.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}

/// Widths and positions are checked at load to fit 16 bits, which floats hold exactly.
pub(crate) fn float(size: usize) -> f32 {
    f32::from(u16::try_from(size).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub(crate) fn exponential_is_that_of_the_standard_library() {
        let mut value = -87.0_f32;
        while value < 88.0 {
            let (fast, exact) = (exponential(value), value.exp());
            assert!((fast / exact - 1.0).abs() < 5e-7, "{value}: {fast} {exact}");
            value += 0.013;
        }
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(f32::NEG_INFINITY), exponential(-87.0));
        assert!(exponential(f32::INFINITY) < f32::INFINITY);
    }

    #[test]
    fn softmax_gives_shares_that_add_up_to_one() {
        let mut scores = [1.0, 1.0, f32::NEG_INFINITY, -300.0];
        softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(scores[0], scores[1]);
        assert!(scores[2] < 1e-30 && scores[3] < 1e-30);
    }

    #[test]
    fn gelu_is_the_normal_distributions_share() {
        for (value, expected) in [
            (0.0, 0.0),
            (1.0, 0.841_344_7),
            (-1.0, -0.158_655_25),
            (2.5, 2.484_475_8),
            (-3.0, -0.004_049_694),
            (0.1, 0.053_982_78),
            (30.0, 30.0),
            (-30.0, 0.0),
        ] {
            assert!((gelu(value) - expected).abs() < 1e-6, "{value}: {}", gelu(value));
        }
    }
}
