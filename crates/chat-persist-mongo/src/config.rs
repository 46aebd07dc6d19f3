//! What can be set from outside: where the database is, how long to wait, how much at once.
//!
//! What is not here cannot be set: majority and journaled writes, majority reads from the primary
//! and retryable writes are promises, whatever the URL says.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Settings of one MongoDB store.
///
/// The URL may hold a password: `Debug` shows none of it, and it is never serialised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MongoConfig {
    /// `mongodb://…/DATABASE` or `mongodb+srv://…/DATABASE`; the path names the database.
    pub url: SecretString,
    /// How long a call waits for a primary. Twenty seconds outlast an election with the server's
    /// own defaults (about eleven).
    #[serde(default = "server_selection_timeout_ms")]
    pub server_selection_timeout_ms: u32,
    /// How long connecting and each health check may take; a frozen server is found out after it.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// How long the server works on one read before it gives up. No read of ours scans a
    /// collection; ten seconds are an overloaded server.
    #[serde(default = "read_timeout_ms")]
    pub read_timeout_ms: u32,
    /// Calls under way at once, and connections; beyond it callers wait. More than 128 on one
    /// server only queue there.
    #[serde(default = "operations_max")]
    pub operations_max: u32,
}

const fn server_selection_timeout_ms() -> u32 {
    20_000
}

const fn connect_timeout_ms() -> u32 {
    5_000
}

const fn read_timeout_ms() -> u32 {
    10_000
}

const fn operations_max() -> u32 {
    128
}

impl MongoConfig {
    /// The defaults for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            server_selection_timeout_ms: server_selection_timeout_ms(),
            connect_timeout_ms: connect_timeout_ms(),
            read_timeout_ms: read_timeout_ms(),
            operations_max: operations_max(),
        }
    }

    /// The same with another wait for a primary.
    #[must_use]
    pub fn with_server_selection_timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.server_selection_timeout_ms = timeout_ms;
        self
    }

    /// The same with another bound on calls under way.
    #[must_use]
    pub fn with_operations_max(mut self, operations: u32) -> Self {
        self.operations_max = operations;
        self
    }

    pub(crate) fn exposed_url(&self) -> &str {
        self.url.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let config = MongoConfig::new("mongodb://ada:opensesame@localhost/LibreChat");
        let shown = format!("{config:?}");
        assert!(!shown.contains("opensesame"), "{shown}");
        assert!(!shown.contains("ada"), "{shown}");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let refused = serde_json::from_str::<MongoConfig>(
            r#"{"url":"mongodb://localhost/chat","write_concern":"1"}"#,
        );
        assert!(refused.is_err());
        let read = serde_json::from_str::<MongoConfig>(r#"{"url":"mongodb://localhost/chat"}"#);
        assert_eq!(read.map(|config| config.operations_max).ok(), Some(128));
    }
}
