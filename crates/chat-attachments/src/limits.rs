//! What one file may cost. Host and child check the same numbers.

use serde::{Deserialize, Serialize};

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

/// Limits of one extraction; each default says why it is this number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExtractLimits {
    /// The largest file. 64 MiB: scanned reports and long recordings; models take less natively.
    pub input_bytes_max: u64,
    /// Memory of the child above what its program maps. 768 MiB: a 120-megapixel photo takes 480 MiB
    /// decoded, and what it is scaled into.
    pub memory_bytes_max: u64,
    /// CPU time of the child. 6 s: a loaded machine then still gets there before the deadline.
    pub cpu_seconds_max: u64,
    /// Wall clock of the child, starting included. 9 s: a person waits, and is told before 10.
    pub deadline_ms: u64,
    /// Text kept of one file; what follows is cut, and said so. 8 MiB: 2 million tokens, above every
    /// window.
    pub text_bytes_max: u64,
    /// Pages of a PDF. 2,000: above every book, below what the page tree costs to walk.
    pub pages_max: u32,
    /// Pixels of an image. 120 million: the largest phone cameras give 108.
    pub pixels_max: u64,
    /// Entries of an Office file. 10,000: a deck of 500 slides with pictures has 4,000.
    pub archive_entries_max: u32,
    /// Bytes in all entries of an Office file, unpacked. 256 MiB: four times the largest input.
    pub archive_bytes_max: u64,
    /// How far one entry may unpack, as a multiple of its packed size. 100, as in Apache POI: markup
    /// packs 3 to 20 times, deflate can do 1,032. Entries below 100 KiB unpacked are let off.
    pub archive_ratio_max: u64,
    /// Elements within elements, brackets within brackets. 256: Word nests below 100.
    pub nesting_max: u32,
    /// Length of audio. A week: longer is a forged header.
    pub duration_ms_max: u64,
}

impl Default for ExtractLimits {
    fn default() -> Self {
        Self {
            input_bytes_max: 64 * MIB,
            memory_bytes_max: 768 * MIB,
            cpu_seconds_max: 6,
            deadline_ms: 9_000,
            text_bytes_max: 8 * MIB,
            pages_max: 2_000,
            pixels_max: 120_000_000,
            archive_entries_max: 10_000,
            archive_bytes_max: 256 * MIB,
            archive_ratio_max: 100,
            nesting_max: 256,
            duration_ms_max: 7 * 24 * 3_600 * 1_000,
        }
    }
}

/// How images are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ImageBounds {
    /// The longer side, in pixels. 2,048: what OpenAI scales to itself; others go below.
    pub side_px_max: u32,
    /// The encoded image. 3.75 MB: 5 MB as base64, the least that a vendor takes for one image.
    pub bytes_max: u64,
}

impl Default for ImageBounds {
    fn default() -> Self {
        Self { side_px_max: 2_048, bytes_max: 3_750_000 }
    }
}
