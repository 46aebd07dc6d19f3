//! What is known of a stored file; its bytes live in a blob store.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, FileId, Timestamp};

/// Metadata of one file, owned by the scope it was stored under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Names the record.
    pub id: FileId,
    /// The name it was given; a label, never a path.
    pub name: String,
    /// Media type, sniffed from the bytes.
    pub media_type: String,
    /// Size of the content.
    pub size_bytes: u64,
    /// Hash of the content: equal bytes are stored once.
    pub content: ContentHash,
    /// When it was stored.
    pub created_at: Timestamp,
}
