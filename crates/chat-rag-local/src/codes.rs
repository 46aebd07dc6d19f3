//! Vectors as codes: one byte per number and a scale per vector, a quarter of the size of floats.
//!
//! The loss is below a hundredth of a cosine, less than what splits any two chunks that matter.
//! The inner loop is plain integer arithmetic over slices, which the compiler makes vector
//! instructions of.

/// Bytes of a vector's scale before its codes.
const SCALE_BYTES: usize = 4;

/// The largest code: symmetric, so that no product leaves 15 bits.
const CODE_MAX: f32 = 127.0;

/// A vector as codes: number = code × scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Coded {
    pub(crate) scale: f32,
    pub(crate) codes: Vec<i8>,
}

impl Coded {
    pub(crate) fn of(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest / CODE_MAX } else { 1.0 };
        let codes = vector.iter().map(|value| nearest(value / scale)).collect();
        Self { scale, codes }
    }

    /// The cosine with another vector of length 1, by its scale and codes.
    pub(crate) fn cosine(&self, scale: f32, codes: &[i8]) -> f64 {
        f64::from(dot(&self.codes, codes)) * f64::from(self.scale) * f64::from(scale)
    }
}

/// The nearest whole number of a float from -127 to 127: adding this constant leaves the number in
/// the lowest byte of the sum's bits.
fn nearest(value: f32) -> i8 {
    const ROUNDER: f32 = 12_582_912.0;
    let value = value.clamp(-CODE_MAX, CODE_MAX);
    let [lowest, ..] = (value + ROUNDER).to_bits().to_le_bytes();
    i8::from_le_bytes([lowest])
}

fn dot(left: &[i8], right: &[i8]) -> i32 {
    let (left_chunks, left_rest) = left.as_chunks::<16>();
    let (right_chunks, right_rest) = right.as_chunks::<16>();
    let product = |(left, right): (&i8, &i8)| i32::from(i16::from(*left) * i16::from(*right));
    let mut sums = [0_i32; 16];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for (sum, pair) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += product(pair);
        }
    }
    sums.iter().sum::<i32>() + left_rest.iter().zip(right_rest).map(product).sum::<i32>()
}

/// The vectors of one document as one value: scale and codes of each, in order.
pub(crate) fn pack(vectors: &[Vec<f32>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for vector in vectors {
        let coded = Coded::of(vector);
        bytes.extend(coded.scale.to_le_bytes());
        bytes.extend(coded.codes.iter().flat_map(|code| code.to_le_bytes()));
    }
    bytes
}

/// Scale and codes of each packed vector; the rest after the last whole one is left out.
pub(crate) fn unpack(bytes: &[u8], dimensions: usize) -> impl Iterator<Item = (f32, &[u8])> {
    bytes.chunks_exact(SCALE_BYTES.saturating_add(dimensions)).filter_map(|packed| {
        let (scale, codes) = packed.split_first_chunk::<SCALE_BYTES>()?;
        Some((f32::from_le_bytes(*scale), codes))
    })
}

/// Bytes of a packed vector.
pub(crate) const fn packed_bytes(dimensions: usize) -> usize {
    SCALE_BYTES.saturating_add(dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector of length 1 from a small generator.
    fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut values: Vec<f32> = (0..dimensions)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
            })
            .collect();
        chat_rag::normalize(&mut values);
        values
    }

    #[test]
    fn whole_numbers_are_the_nearest() {
        for (value, code) in
            [(0.0, 0), (0.4, 0), (-0.6, -1), (126.6, 127), (-127.0, -127), (1e9, 127)]
        {
            assert_eq!(nearest(value), code, "{value}");
        }
    }

    #[test]
    fn cosines_of_codes_are_those_of_the_floats() {
        for dimensions in [1, 15, 16, 384, 1_000] {
            for seed in 0..50 {
                let (left, right) = (vector(seed, dimensions), vector(seed + 100, dimensions));
                let coded = Coded::of(&right);
                let found = Coded::of(&left).cosine(coded.scale, &coded.codes);
                let exact = f64::from(chat_rag::cosine(&left, &right));
                assert!((found - exact).abs() < 0.01, "{dimensions}: {found} {exact}");
            }
        }
    }

    #[test]
    fn packed_vectors_come_back() {
        let vectors: Vec<Vec<f32>> = (0..5).map(|seed| vector(seed, 20)).collect();
        let bytes = pack(&vectors);
        assert_eq!(bytes.len(), 5 * packed_bytes(20));
        let unpacked: Vec<Coded> = unpack(&bytes, 20)
            .map(|(scale, codes)| Coded {
                scale,
                codes: codes.iter().map(|byte| i8::from_le_bytes([*byte])).collect(),
            })
            .collect();
        assert_eq!(unpacked, vectors.iter().map(|vector| Coded::of(vector)).collect::<Vec<_>>());
    }

    #[test]
    fn zeros_and_the_largest_codes_are_no_trouble() {
        assert_eq!(Coded::of(&[0.0; 8]).cosine(1.0, &[127; 8]), 0.0);
        let ones = Coded::of(&[1.0; 4_096]);
        assert_eq!(dot(&ones.codes, &ones.codes), 127 * 127 * 4_096);
    }
}
