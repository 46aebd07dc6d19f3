//! Images by formula: how each vendor's generation of models turns pixels into tokens.
//!
//! Every formula rounds up and never asks for more than its model takes, so a count by formula is a
//! bound for images that are sent as they are. Not here: which model has which (`media`).

use chat_types::Tokens;

/// The largest side that is believed: no vendor takes more, and no product below can overflow.
const SIDE_PX_MAX: u32 = 1 << 20;

/// How images become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageRule {
    /// OpenAI until 2025: scaled into 2,048 × 2,048, then to a short side of at most 768, paid by
    /// tiles of 512 pixels.
    Tiles512 {
        /// Paid once.
        base: u32,
        /// Paid for each tile.
        per_tile: u32,
    },
    /// OpenAI since: patches of 32 pixels, scaled down until there are at most `patches_max`, times
    /// a multiplier.
    Patches32 {
        /// The most patches of an image.
        patches_max: u32,
        /// Tokens for a thousand patches.
        permille: u32,
    },
    /// Anthropic until 2025: pixels by 750, scaled down to `edge_px_max` and `tokens_max`.
    Area750 {
        /// The longest side.
        edge_px_max: u32,
        /// The most tokens of an image.
        tokens_max: u32,
    },
    /// Anthropic since: patches of 28 pixels, scaled down to `edge_px_max` and `patches_max`.
    Patches28 {
        /// The longest side.
        edge_px_max: u32,
        /// The most patches of an image.
        patches_max: u32,
        /// Paid once for the block; and a note to the model when the image was scaled.
        base: u32,
    },
    /// Google until Gemini 2.5: 258 up to 384 × 384, else 258 for each tile, whose side follows the
    /// short side.
    Tiles768 {
        /// The most tiles of an image.
        tiles_max: u32,
    },
    /// Google since: a fixed allotment, whatever the size.
    Flat {
        /// The allotment at the resolution the vendor takes by default.
        tokens: u32,
    },
}

const TILES_OF_GPT_4O: ImageRule = ImageRule::Tiles512 { base: 85, per_tile: 170 };

/// What the largest image costs where tiles cost what they cost for GPT-4o.
pub const IMAGE_TOKENS_MAX: Tokens = Tokens::new(85 + 8 * 170);

/// The tokens of an image of this size for GPT-4o; of unknown size, [`IMAGE_TOKENS_MAX`].
#[must_use]
pub fn image_tokens(width_px: Option<u32>, height_px: Option<u32>) -> Tokens {
    TILES_OF_GPT_4O.tokens(width_px, height_px)
}

impl ImageRule {
    /// The tokens of an image of this size; of unknown size, what the largest image costs.
    ///
    /// Scaled sides are rounded up, so a result is never too low by rounding.
    #[must_use]
    pub fn tokens(self, width_px: Option<u32>, height_px: Option<u32>) -> Tokens {
        let (Some(width), Some(height)) = (width_px, height_px) else {
            return self.tokens_max();
        };
        let long = u64::from(width.max(height).clamp(1, SIDE_PX_MAX));
        let short = u64::from(width.min(height).clamp(1, SIDE_PX_MAX));
        Tokens::new(match self {
            Self::Tiles512 { base, per_tile } => {
                let (long, short) = scaled(long, short, long.min(2_048), long);
                let (short, long) = scaled(short, long, short.min(768), short);
                let tiles = long.div_ceil(512) * short.div_ceil(512);
                u64::from(base) + u64::from(per_tile) * tiles
            }
            Self::Patches32 { patches_max, permille } => {
                let patches = patches(long, short, (32, u64::MAX, u64::from(patches_max)));
                (patches * u64::from(permille)).div_ceil(1_000)
            }
            Self::Area750 { edge_px_max, tokens_max } => {
                let (long, short) = scaled(long, short, long.min(edge_px_max.into()), long);
                (long * short).div_ceil(750).min(tokens_max.into())
            }
            Self::Patches28 { edge_px_max, patches_max, base } => {
                let bounds = (28, u64::from(edge_px_max), u64::from(patches_max));
                patches(long, short, bounds) + u64::from(base)
            }
            Self::Tiles768 { tiles_max } => {
                let tiles = if long <= 384 {
                    1
                } else {
                    let side = (short * 2 / 3).clamp(256, 768);
                    long.div_ceil(side) * short.div_ceil(side)
                };
                tiles.min(u64::from(tiles_max).max(1)) * 258
            }
            Self::Flat { tokens } => u64::from(tokens),
        })
    }

    /// What the largest image costs.
    #[must_use]
    pub fn tokens_max(self) -> Tokens {
        Tokens::new(match self {
            // 768 × 2,048 pixels are 2 × 4 tiles.
            Self::Tiles512 { base, per_tile } => u64::from(base) + 8 * u64::from(per_tile),
            Self::Patches32 { patches_max, permille } => {
                (u64::from(patches_max) * u64::from(permille)).div_ceil(1_000)
            }
            Self::Area750 { tokens_max, .. } => u64::from(tokens_max),
            Self::Patches28 { patches_max, base, .. } => u64::from(patches_max) + u64::from(base),
            Self::Tiles768 { tiles_max } => u64::from(tiles_max.max(1)) * 258,
            Self::Flat { tokens } => u64::from(tokens),
        })
    }
}

/// Two sides times `numerator / denominator`, rounded up; the first one leads.
fn scaled(one: u64, other: u64, numerator: u64, denominator: u64) -> (u64, u64) {
    let of = |side: u64| (side * numerator).div_ceil(denominator.max(1));
    (of(one), of(other))
}

/// The patches of an image that is scaled down to a longest side and a number of patches.
///
/// Vendors look for the largest size whose patches are few enough; here the sides are scaled by
/// their area and the number is cut, which is at most what a vendor counts above it.
fn patches(long: u64, short: u64, (side, edge_px_max, patches_max): (u64, u64, u64)) -> u64 {
    let (long, short) = scaled(long, short, long.min(edge_px_max), long);
    (long.div_ceil(side) * short.div_ceil(side)).min(patches_max)
}
