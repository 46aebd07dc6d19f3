//! Which billing service is asked, with which secret, and for how long.
//!
//! Neither this nor the ledger ever shows the secret. Not here: reading the environment or a file,
//! which is the program's.

use std::fmt;

use chat_transport::{BreakerConfig, RetryPolicy};
use secrecy::{ExposeSecret, SecretString};

use crate::error::InvalidHttpLedgerConfig;

/// A billing service that speaks the contract.
#[derive(Clone)]
pub struct HttpLedgerConfig {
    /// Where it answers, without `/v1`: `http` or `https`, a path is fine, no user part, no query.
    pub base_url: String,
    /// Sent as a bearer token with every request.
    pub secret: SecretString,
    /// Where the secret comes from, for error messages: an environment variable or a config key.
    pub secret_name: String,
    /// From the first try to connect until the connection is there. 2 s: a billing service stands
    /// near, and a turn waits for it.
    pub connect_ms: u64,
    /// From the start of one attempt until its answer begins, and between two reads of it. 3 s: a
    /// hold is one transaction; what takes longer is stuck, and is safe to ask again.
    pub answer_ms: u64,
    /// One call with all its attempts and the waits between them. 8 s: longer than that a user is
    /// better served by an error.
    pub whole_ms: u64,
    /// How often and how patiently a call is sent again. Two retries, also after failures that may
    /// have been a success: every write carries a key.
    pub retry: RetryPolicy,
    /// When a service that is down gets no calls for a while.
    pub breaker: BreakerConfig,
    /// The largest answer, in bytes. 8 MiB: a page of 1,000 holds over four accounts is 1 MiB.
    pub answer_bytes_max: usize,
    /// Seeds the waits between attempts; none: drawn, so that processes do not retry in step.
    pub jitter_seed: Option<u64>,
}

impl HttpLedgerConfig {
    /// The service at this address, all else as the fields say.
    #[must_use]
    pub fn new(base_url: impl Into<String>, secret: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            secret,
            secret_name: "the configured secret".to_owned(),
            connect_ms: 2_000,
            answer_ms: 3_000,
            whole_ms: 8_000,
            retry: RetryPolicy {
                retries_max: 2,
                ambiguous_retries_max: 2,
                backoff_base_ms: 100,
                backoff_max_ms: 1_000,
                retry_after_max_ms: 2_000,
            },
            breaker: BreakerConfig::default(),
            answer_bytes_max: 8 * 1024 * 1024,
            jitter_seed: None,
        }
    }

    /// The host and port of the base URL.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// Refuses what cannot work, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), InvalidHttpLedgerConfig> {
        let refuse = |key, rule| Err(InvalidHttpLedgerConfig { key, rule });
        let Some((scheme, rest)) = self.base_url.split_once("://") else {
            return refuse("base_url", "it must start with http:// or https://");
        };
        if !["http", "https"].contains(&scheme) {
            return refuse("base_url", "it must start with http:// or https://");
        }
        if rest.contains(['@', '?', '#']) {
            return refuse("base_url", "no user part, no query: the secret has a place of its own");
        }
        if self.host().is_empty() {
            return refuse("base_url", "it has no host");
        }
        if self.secret.expose_secret().is_empty() {
            return refuse("secret", "it is empty");
        }
        let is_sendable = |byte: u8| (0x21..0x7f).contains(&byte);
        if !self.secret.expose_secret().bytes().all(is_sendable) {
            return refuse("secret", "only visible ASCII can be sent");
        }
        for (key, value) in [
            ("connect_ms", self.connect_ms),
            ("answer_ms", self.answer_ms),
            ("whole_ms", self.whole_ms),
        ] {
            if value == 0 {
                return refuse(key, "a time-out of nothing lets no call through");
            }
        }
        if self.answer_ms > self.whole_ms {
            return refuse("answer_ms", "one attempt may not take longer than the whole call");
        }
        Ok(())
    }
}

impl fmt::Debug for HttpLedgerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpLedgerConfig")
            // The host alone: a user part or a query may hold a key.
            .field("host", &self.host())
            .field("secret_name", &self.secret_name)
            .field("connect_ms", &self.connect_ms)
            .field("answer_ms", &self.answer_ms)
            .field("whole_ms", &self.whole_ms)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(base_url: &str, secret: &str) -> Option<(&'static str, &'static str)> {
        let config = HttpLedgerConfig::new(base_url, SecretString::from(secret));
        config.check().err().map(|error| (error.key, error.rule))
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        for base_url in ["https://billing", "http://127.0.0.1:8080/chat/"] {
            assert_eq!(refused(base_url, "s"), None, "{base_url}");
        }
        for base_url in
            ["billing", "ftp://billing", "https://", "https://a:b@c", "https://c/?key=s"]
        {
            assert_eq!(refused(base_url, "s").map(|(key, _)| key), Some("base_url"), "{base_url}");
        }
        for secret in ["", "a b", "a\r\nx: y", "ü"] {
            assert_eq!(refused("https://c", secret).map(|(key, _)| key), Some("secret"));
        }
        let good = HttpLedgerConfig::new("https://c", SecretString::from("s"));
        let none = HttpLedgerConfig { connect_ms: 0, ..good.clone() };
        assert_eq!(none.check().err().map(|error| error.key), Some("connect_ms"));
        let long = HttpLedgerConfig { answer_ms: 9_000, ..good };
        assert_eq!(long.check().err().map(|error| error.key), Some("answer_ms"));
    }

    #[test]
    fn a_configuration_shows_no_secret() {
        let config = HttpLedgerConfig::new("https://ada:hunter1@c/?key=hunter2", "hunter3".into());
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter") && shown.contains("\"c\""), "{shown}");
    }
}
