#![doc = include_str!("../README.md")]

mod accounting;
mod band;
mod calibrated;
mod calibration;
mod counter;
mod encoding;
mod estimate;
mod family;
mod for_model;
mod image;
mod media;
mod openai;
mod runs;
mod stored;

pub use accounting::TokenAccounting;
pub use band::{ErrorBand, error_band};
pub use calibrated::calibrated;
pub use calibration::{
    Calibration, InvalidCalibration, RATIO_PERMILLE_MAX, RATIO_PERMILLE_MIN, StoredCalibration,
    uncalibrated,
};
pub use counter::{TokenCounter, count_parts};
pub use encoding::OpenAiEncoding;
pub use estimate::EstimateCounter;
pub use family::{EstimateFamily, FamilyEstimate};
pub use for_model::count_for_model;
pub use image::{IMAGE_TOKENS_MAX, ImageRule, image_tokens};
pub use media::{MEDIA_RULES_CHECKED, MediaRules};
pub use openai::OpenAiCounter;
pub use stored::{CountOrigin, count_stored};
