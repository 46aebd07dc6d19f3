//! Where the file is and how much the store may use; every number says why.
//!
//! What is not here cannot be set: WAL, `synchronous=FULL` and foreign keys are promises.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of one SQLite store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The database file; created if missing, in a folder that exists, on a local disk.
    pub path: PathBuf,
    /// How long a statement waits for another process. Five seconds outlast any commit and any
    /// checkpoint on a healthy disk; whoever holds the lock longer is stuck.
    #[serde(default = "busy_timeout_ms")]
    pub busy_timeout_ms: u32,
    /// Connections for reading, each a thread; opened when first needed. Readers never wait for
    /// the writer, and more readers than cores only take memory.
    #[serde(default = "read_connections")]
    pub read_connections: usize,
    /// Writes that may wait for the writer; beyond it callers wait to enqueue. 1,024 is about a
    /// second of work on a slow disk with group commit.
    #[serde(default = "write_queue")]
    pub write_queue: usize,
    /// Writes that share one commit. 256 keep a transaction below some 20 ms, so that the
    /// other process is not starved.
    #[serde(default = "write_batch_max")]
    pub write_batch_max: usize,
    /// The page cache of each connection. 8 MiB hold the hot pages of some thousand turns.
    #[serde(default = "cache_kib")]
    pub cache_kib: u32,
    /// Files up to this size are read through (`quick_check`) before they are opened, about 0.1 s
    /// at 64 MiB; of larger ones the structure is checked, not each page.
    #[serde(default = "checked_bytes_max")]
    pub checked_bytes_max: u64,
    /// A quota in pages of 4 KiB; writes beyond it are refused as a full disk is. None: the disk.
    #[serde(default)]
    pub max_page_count: Option<u32>,
}

const fn busy_timeout_ms() -> u32 {
    5_000
}

const fn read_connections() -> usize {
    4
}

const fn write_queue() -> usize {
    1_024
}

const fn write_batch_max() -> usize {
    256
}

const fn cache_kib() -> u32 {
    8_192
}

const fn checked_bytes_max() -> u64 {
    64 * 1024 * 1024
}

impl SqliteConfig {
    /// The defaults for the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout_ms: busy_timeout_ms(),
            read_connections: read_connections(),
            write_queue: write_queue(),
            write_batch_max: write_batch_max(),
            cache_kib: cache_kib(),
            checked_bytes_max: checked_bytes_max(),
            max_page_count: None,
        }
    }

    /// The same with another busy timeout.
    #[must_use]
    pub fn with_busy_timeout_ms(mut self, busy_timeout_ms: u32) -> Self {
        self.busy_timeout_ms = busy_timeout_ms;
        self
    }

    /// The same with a quota in pages.
    #[must_use]
    pub fn with_max_page_count(mut self, pages: u32) -> Self {
        self.max_page_count = Some(pages);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused() {
        let refused =
            serde_json::from_str::<SqliteConfig>(r#"{"path":"a.db","synchronous":"OFF"}"#);
        assert!(refused.is_err());
        let read = serde_json::from_str::<SqliteConfig>(r#"{"path":"a.db"}"#);
        assert_eq!(read.ok(), Some(SqliteConfig::new("a.db")));
    }
}
