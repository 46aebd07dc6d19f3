//! What was read from a file, as it is kept beside the blob.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::kind::FileKind;

/// Raised when reading gives other results; what older versions kept is read anew.
pub const EXTRACTION_VERSION: u32 = 1;

/// Text and facts of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Extracted {
    /// The [`EXTRACTION_VERSION`] that read it.
    pub version: u32,
    /// What it was read as.
    pub kind: FileKind,
    /// The text; empty for images and audio, and for documents without any. Pages of a PDF are parted by
    /// form feeds. Office files and web pages come as Markdown.
    pub text: String,
    /// The text was longer than it may be and is cut at its end.
    pub is_truncated: bool,
    /// Pages of a PDF, slides of a presentation, sheets of a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// Width of an image as it is seen (its orientation applied), in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width_px: Option<u32>,
    /// Height of an image as it is seen, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_px: Option<u32>,
    /// Duration of audio, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What the reader should know, for example pages that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Extracted {
    /// Nothing read yet.
    pub(crate) const fn of(kind: FileKind) -> Self {
        Self {
            version: EXTRACTION_VERSION,
            kind,
            text: String::new(),
            is_truncated: false,
            pages: None,
            width_px: None,
            height_px: None,
            duration_ms: None,
            notes: Vec::new(),
        }
    }
}

/// An image as it is sent: within [`ImageBounds`](crate::ImageBounds), upright, JPEG or PNG, without the
/// metadata of the original.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreparedImage {
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// The encoded image.
    pub bytes: Bytes,
}
