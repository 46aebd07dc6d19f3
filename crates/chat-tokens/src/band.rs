//! How far a total can be off.

use chat_types::{Provenance, Tokens};

use crate::calibration::Calibration;

/// Between what the real number most probably lies, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorBand {
    /// At least this.
    pub low: Tokens,
    /// At most this.
    pub high: Tokens,
}

impl ErrorBand {
    /// The band holds `tokens`.
    #[must_use]
    pub fn contains(self, tokens: Tokens) -> bool {
        self.low <= tokens && tokens <= self.high
    }

    /// The band of the sum of two totals.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.plus(other.low), high: self.high.plus(other.high) }
    }
}

/// A count with the model's own tokenizer is exact for text; framing and tool schemas, which
/// vendors do not publish in full, are what is left.
const COUNTED_PERMILLE: u32 = 20;
/// A prompt of another kind than all before it (another script, another format) lies a little further out
/// than they did.
const CALIBRATED_PERMILLE: u32 = 50;
/// What few samples have not shown yet, shared by how many there are: of three prompts the next one may
/// differ by a third more than they do among themselves, of a hundred by a hundredth.
const UNSEEN_PERMILLE: u32 = 1_000;
/// Estimates lean high: they are up to three times the real number, and for dense text (base64,
/// hex) the real number is up to half more.
const ESTIMATED_LOW_PERMILLE: u32 = 333;
const ESTIMATED_HIGH_PERMILLE: u32 = 1_500;

/// How far `tokens` of this provenance can be off; the weakest provenance of a sum decides.
///
/// A calibrated total takes its band from the ratios that were seen and how many there are; without the calibration it is
/// taken for an estimate.
#[must_use]
pub fn error_band(
    tokens: Tokens,
    provenance: Provenance,
    calibration: Option<&Calibration>,
) -> ErrorBand {
    let (low, high) = match provenance {
        Provenance::Reported => (1_000, 1_000),
        Provenance::Counted => around(COUNTED_PERMILLE, COUNTED_PERMILLE),
        Provenance::Calibrated => match calibration.and_then(Spread::of) {
            Some(Spread { below, above }) => around(below, above),
            None => (ESTIMATED_LOW_PERMILLE, ESTIMATED_HIGH_PERMILLE),
        },
        _ => (ESTIMATED_LOW_PERMILLE, ESTIMATED_HIGH_PERMILLE),
    };
    ErrorBand { low: floor(tokens, low), high: tokens.scaled_up(high, 1_000) }
}

fn around(below: u32, above: u32) -> (u32, u32) {
    (1_000_u32.saturating_sub(below), 1_000_u32.saturating_add(above))
}

/// How far from the ratio that is used others may lie, in permille of it.
struct Spread {
    below: u32,
    above: u32,
}

impl Spread {
    fn of(calibration: &Calibration) -> Option<Self> {
        let used = calibration.step_permille()?;
        let (low, high) = calibration.spread_permille();
        let unseen = UNSEEN_PERMILLE / calibration.samples().max(1);
        let share = |difference: u32| {
            let seen = difference.saturating_mul(1_000).div_ceil(used.max(1));
            seen.saturating_add(unseen).saturating_add(CALIBRATED_PERMILLE)
        };
        Some(Self {
            below: share(used.saturating_sub(low)),
            above: share(high.saturating_sub(used)),
        })
    }
}

fn floor(tokens: Tokens, permille: u32) -> Tokens {
    let scaled = u128::from(tokens.get()) * u128::from(permille) / 1_000;
    Tokens::new(u64::try_from(scaled).unwrap_or(u64::MAX))
}
