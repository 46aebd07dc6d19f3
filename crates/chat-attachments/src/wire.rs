//! What host and child say to each other.
//!
//! The request is the child's last argument, the file its standard input. The reply is one line of JSON
//! and then the payload that the line announces: text or an encoded image. So both sides hold it once,
//! and the host knows before each read how much may come.

use serde::{Deserialize, Serialize};

use crate::error::ExtractError;
use crate::extracted::Extracted;
use crate::kind::FileKind;
use crate::limits::{ExtractLimits, ImageBounds};

/// Facts and notes fit in far less.
pub(crate) const HEAD_BYTES_MAX: u64 = 64 * 1_024;

/// What is wanted of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// Its text and facts.
    Text { kind: FileKind },
    /// The image as it is sent.
    Image { bounds: ImageBounds },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) version: u32,
    pub(crate) job: Job,
    pub(crate) limits: ExtractLimits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The payload is the text, which `facts` leaves out.
    Text { facts: Extracted, payload_bytes: u64 },
    /// The payload is the encoded image.
    Image { media_type: String, width_px: u32, height_px: u32, payload_bytes: u64 },
    /// There is no payload.
    Refused { error: ExtractError },
}
