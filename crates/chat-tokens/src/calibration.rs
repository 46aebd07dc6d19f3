//! How much more a model's provider reports than a counter counts: a moving ratio.
//!
//! Whole numbers only. A sample weighs by its tokens, one alone never outweighs the rest, and what
//! is old fades, so the ratio follows a provider that changes its vocabulary. It stays within
//! bounds, whatever is observed and in whatever order. Not here: where it is kept, and which
//! counter it is for (the caller keys it by model and tokenizer).

use chat_types::{TokenizerId, Tokens};
use serde::{Deserialize, Serialize};

/// The least the ratio can be, in permille: what the reference system allows.
pub const RATIO_PERMILLE_MIN: u32 = 500;
/// The most the ratio can be, in permille: what the reference system allows.
pub const RATIO_PERMILLE_MAX: u32 = 5_000;
/// Below, framing weighs more than text and a sample says nothing of the vocabulary.
const SAMPLE_TOKENS_MIN: u64 = 64;
/// The most that one sample weighs: an eighth of what is remembered.
const SAMPLE_TOKENS_MAX: u64 = WINDOW_TOKENS / 8;
/// What is remembered before it is halved: some dozens of ordinary prompts.
const WINDOW_TOKENS: u64 = 200_000;
/// One sample may be an accident; three agree on something.
const SAMPLES_MIN: u32 = 3;
/// And they must be of some size together.
const COUNTED_MIN: u64 = 1_000;
/// Ratios are used in steps of this many permille, so that counts that are stored with a ratio
/// stay good while it moves a little.
const STEP_PERMILLE: u32 = 50;

/// The moving ratio of reported to counted tokens for one model and one tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    samples: u32,
    counted: u64,
    reported: u64,
    low_permille: u32,
    high_permille: u32,
}

/// A calibration as it is kept: small, plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCalibration {
    /// How many samples there were.
    pub samples: u32,
    /// Tokens counted, faded.
    pub counted: u64,
    /// Tokens reported for them, faded.
    pub reported: u64,
    /// The lowest ratio seen, faded.
    pub low_permille: u32,
    /// The highest ratio seen, faded.
    pub high_permille: u32,
}

/// A stored calibration that no calibration wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid calibration: {rule}")]
pub struct InvalidCalibration {
    rule: &'static str,
}

impl InvalidCalibration {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_calibration"
    }

    /// Never: start with a new one.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

impl Calibration {
    /// Nothing observed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { samples: 0, counted: 0, reported: 0, low_permille: 1_000, high_permille: 1_000 }
    }

    /// Takes one prompt into account: what was counted for all of it, without any calibration
    /// ([`uncalibrated`]), and what the provider reported for all of it, cached parts included.
    ///
    /// False if it was too small to say anything; nothing is changed then. Observing the same
    /// prompt twice counts it twice.
    pub fn observe(&mut self, counted: Tokens, reported: Tokens) -> bool {
        let (counted, reported) = (counted.get(), reported.get());
        if counted < SAMPLE_TOKENS_MIN || reported == 0 {
            return false;
        }
        let ratio = permille(reported, counted);
        let weight = counted.min(SAMPLE_TOKENS_MAX);
        if self.counted.saturating_add(weight) > WINDOW_TOKENS {
            self.fade();
        }
        self.counted = self.counted.saturating_add(weight);
        self.reported = self.reported.saturating_add(scale(weight, ratio));
        if self.samples == 0 {
            (self.low_permille, self.high_permille) = (ratio, ratio);
        } else {
            self.low_permille = self.low_permille.min(ratio);
            self.high_permille = self.high_permille.max(ratio);
        }
        self.samples = self.samples.saturating_add(1);
        true
    }

    /// Halves what is remembered; the extremes come half the way back to the ratio.
    fn fade(&mut self) {
        let ratio = permille(self.reported, self.counted);
        self.counted /= 2;
        self.reported /= 2;
        self.low_permille = self.low_permille.midpoint(ratio);
        self.high_permille = self.high_permille.midpoint(ratio);
    }

    /// The ratio in permille, 500 to 5,000; none before there is enough to go by.
    #[must_use]
    pub fn ratio_permille(&self) -> Option<u32> {
        let is_enough = self.samples >= SAMPLES_MIN && self.counted >= COUNTED_MIN;
        is_enough.then(|| permille(self.reported, self.counted))
    }

    /// The ratio as it is used: rounded up to a step of 50 permille.
    #[must_use]
    pub fn step_permille(&self) -> Option<u32> {
        let ratio = self.ratio_permille()?;
        Some(ratio.div_ceil(STEP_PERMILLE).saturating_mul(STEP_PERMILLE).min(RATIO_PERMILLE_MAX))
    }

    /// The lowest and the highest ratio seen, in permille, those long ago less far out.
    #[must_use]
    pub const fn spread_permille(&self) -> (u32, u32) {
        (self.low_permille, self.high_permille)
    }

    /// How many samples were taken.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// As it is kept.
    #[must_use]
    pub const fn to_stored(&self) -> StoredCalibration {
        let Self { samples, counted, reported, low_permille, high_permille } = *self;
        StoredCalibration { samples, counted, reported, low_permille, high_permille }
    }

    /// As it was kept.
    ///
    /// # Errors
    /// `InvalidCalibration` for numbers that no calibration wrote: start with a new one.
    pub fn from_stored(stored: StoredCalibration) -> Result<Self, InvalidCalibration> {
        let StoredCalibration { samples, counted, reported, low_permille, high_permille } = stored;
        let bounds = RATIO_PERMILLE_MIN..=RATIO_PERMILLE_MAX;
        let rule = if counted > WINDOW_TOKENS {
            "more tokens are counted than are remembered"
        } else if !bounds.contains(&low_permille) || !bounds.contains(&high_permille) {
            "a ratio is not 500 to 5000 permille"
        } else if low_permille > high_permille {
            "the lowest ratio is above the highest"
        } else if (samples == 0) != (counted == 0 && reported == 0) {
            "there are tokens without samples, or samples without tokens"
        } else if reported > scale(counted, RATIO_PERMILLE_MAX).saturating_add(1) {
            "more tokens are reported than the highest ratio allows"
        } else {
            return Ok(Self { samples, counted, reported, low_permille, high_permille });
        };
        Err(InvalidCalibration { rule })
    }
}

/// Stands between a tokenizer's name and the ratio its counts were scaled by.
pub(crate) const RATIO_MARK: char = '@';

/// What a counter without calibration counted, given what a calibrated one says: the number to
/// [`observe`](Calibration::observe). The tokenizer's name tells the ratio; without one nothing is
/// changed.
#[must_use]
pub fn uncalibrated(tokens: Tokens, tokenizer: &TokenizerId) -> Tokens {
    let ratio =
        tokenizer.as_str().rsplit_once(RATIO_MARK).and_then(|(_, ratio)| ratio.parse().ok());
    match ratio {
        Some(ratio) if (RATIO_PERMILLE_MIN..=RATIO_PERMILLE_MAX).contains(&ratio) => {
            let tokens = u128::from(tokens.get()) * 1_000 / u128::from(ratio);
            Tokens::new(u64::try_from(tokens).unwrap_or(u64::MAX))
        }
        _ => tokens,
    }
}

/// `part / whole` in permille, within the bounds.
fn permille(part: u64, whole: u64) -> u32 {
    let ratio = u128::from(part) * 1_000 / u128::from(whole.max(1));
    u32::try_from(ratio).unwrap_or(u32::MAX).clamp(RATIO_PERMILLE_MIN, RATIO_PERMILLE_MAX)
}

fn scale(tokens: u64, permille: u32) -> u64 {
    Tokens::new(tokens).scaled_up(permille, 1_000).get()
}
