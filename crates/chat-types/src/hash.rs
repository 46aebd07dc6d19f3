//! Content hashes: what a section, a request or a covered path looked like.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 over length-prefixed parts, as 64 lower-case hex digits.
///
/// Parts are length-prefixed so that `["ab", "c"]` and `["a", "bc"]` differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(String);

impl ContentHash {
    /// Hashes `parts` in order.
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            let bytes = part.as_ref();
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        }
        let mut hex = String::with_capacity(64);
        for byte in hasher.finalize() {
            let _infallible = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps digits read back from a store; compared, never recomputed.
    #[must_use]
    pub fn from_stored(hex: String) -> Self {
        Self(hex)
    }
}
