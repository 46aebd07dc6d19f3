//! Images by formula: OpenAI's tiles.
//!
//! An image is scaled down into 2,048 × 2,048, then until its short side is at most 768, and paid
//! by 512-pixel tiles: 85 + 170 each. Not here: other vendors' formulas.

use chat_types::Tokens;

const BASE: u64 = 85;
const PER_TILE: u64 = 170;
const TILE_PX: u64 = 512;
const LONG_SIDE_MAX_PX: u64 = 2_048;
const SHORT_SIDE_MAX_PX: u64 = 768;

/// What the largest image costs: 768 × 2,048 pixels are 2 × 4 tiles.
pub const IMAGE_TOKENS_MAX: Tokens = Tokens::new(BASE + 8 * PER_TILE);

/// The tokens of an image of this size; of unknown size, [`IMAGE_TOKENS_MAX`].
///
/// Scaled sides are rounded up, so a result is never too low by rounding.
#[must_use]
pub fn image_tokens(width_px: Option<u32>, height_px: Option<u32>) -> Tokens {
    let (Some(width), Some(height)) = (width_px, height_px) else {
        return IMAGE_TOKENS_MAX;
    };
    let mut long = u64::from(width.max(height)).max(1);
    let mut short = u64::from(width.min(height)).max(1);
    if long > LONG_SIDE_MAX_PX {
        short = (short * LONG_SIDE_MAX_PX).div_ceil(long);
        long = LONG_SIDE_MAX_PX;
    }
    if short > SHORT_SIDE_MAX_PX {
        long = (long * SHORT_SIDE_MAX_PX).div_ceil(short);
        short = SHORT_SIDE_MAX_PX;
    }
    let tiles = long.div_ceil(TILE_PX) * short.div_ceil(TILE_PX);
    Tokens::new(BASE + PER_TILE * tiles)
}
