//! Where notices are posted, with which secret, and how long one may take.
//!
//! Never shows the secret. Not here: reading the environment or a file, which is the program's.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// One address that takes notices.
#[derive(Clone)]
pub struct WebhookConfig {
    /// `http` or `https`, without a user part: the secret has a place of its own.
    pub url: String,
    /// Sent as a bearer token with every notice; none: nothing is sent.
    pub secret: Option<SecretString>,
    /// From the first try to connect until the connection is there. 2 s.
    pub connect_ms: u64,
    /// From then until the answer begins. 5 s: a receiver that needs longer takes the notice first
    /// and works on it later.
    pub answer_ms: u64,
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}")]
pub struct InvalidWebhookConfig {
    pub(crate) key: &'static str,
    pub(crate) rule: &'static str,
}

impl WebhookConfig {
    /// This address, without a secret.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), secret: None, connect_ms: 2_000, answer_ms: 5_000 }
    }

    /// The host and port of the address.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// Refuses what cannot work, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), InvalidWebhookConfig> {
        let refuse = |key, rule| Err(InvalidWebhookConfig { key, rule });
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !["http", "https"].contains(&scheme) {
            return refuse("webhook", "it must start with http:// or https://");
        }
        if self.host().is_empty() {
            return refuse("webhook", "it has no host");
        }
        if self.url.contains(['@', '#']) {
            return refuse(
                "webhook",
                "no user part, no fragment: the secret has a place of its own",
            );
        }
        let is_sendable = |byte: u8| (0x21..0x7f).contains(&byte);
        if let Some(secret) = self.secret.as_ref().map(ExposeSecret::expose_secret)
            && (secret.is_empty() || !secret.bytes().all(is_sendable))
        {
            return refuse("secret", "it is empty, or has characters that cannot be sent");
        }
        if self.connect_ms == 0 || self.answer_ms == 0 {
            return refuse("answer_ms", "a time-out of nothing lets no notice through");
        }
        Ok(())
    }
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            // The host alone: a path or a query may hold a key.
            .field("host", &self.host())
            .field("has_secret", &self.secret.is_some())
            .field("connect_ms", &self.connect_ms)
            .field("answer_ms", &self.answer_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let refused = |config: WebhookConfig| config.check().err().map(|error| error.key);
        for url in ["https://hooks.example", "http://127.0.0.1:8080/chat?room=1"] {
            assert_eq!(refused(WebhookConfig::new(url)), None, "{url}");
        }
        for url in ["hooks", "ftp://hooks", "https://", "https:///a", "https://a:b@c"] {
            assert_eq!(refused(WebhookConfig::new(url)), Some("webhook"), "{url}");
        }
        let good = WebhookConfig::new("https://c");
        for secret in ["", "a b", "a\r\nx: y"] {
            let with = WebhookConfig { secret: Some(secret.into()), ..good.clone() };
            assert_eq!(refused(with), Some("secret"), "{secret}");
        }
        assert_eq!(refused(WebhookConfig { answer_ms: 0, ..good }), Some("answer_ms"));
    }

    #[test]
    fn a_configuration_shows_no_secret() {
        let mut config = WebhookConfig::new("https://c/hunter1?key=hunter2");
        config.secret = Some("hunter3".into());
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter") && shown.contains("\"c\""), "{shown}");
    }
}
