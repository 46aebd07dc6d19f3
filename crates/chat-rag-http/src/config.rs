//! Which service is asked, for whose users, with which secret, and for how long.
//!
//! The secret is never shown. Not here: reading the environment or a file, which is the program's.

use std::fmt;

use chat_rag::{RagError, RagErrorKind, Result};
use chat_types::TenantId;
use secrecy::{ExposeSecret as _, SecretString};

/// A service that speaks the contract.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpRagConfig {
    /// Where it answers: `http` or `https`, a path is fine, no user part, no query.
    pub base_url: String,
    /// The one tenant whose users the service knows. It has no tenants of its own, so users of any
    /// other tenant get nothing.
    pub tenant: TenantId,
    /// The secret that tokens are signed with, its `JWT_SECRET`; none: the service is open.
    pub secret: Option<SecretString>,
    /// The entity whose files users may search beside their own (`entity_id`), for example an
    /// agent. Whether they may is for the caller to know.
    pub entity: Option<String>,
    /// From the first try to connect until the connection is there. 2 s: it stands near.
    pub connect_ms: u64,
    /// One search, whole. 5 s: it embeds the question and asks its database.
    pub search_ms: u64,
    /// One upload, extraction and embedding included. 5 min: the service's own limit.
    pub upload_ms: u64,
    /// How long a token holds, in seconds. 300, as LibreChat's.
    pub token_seconds: u64,
    /// Searches sent at once for one question, one per file. 8: the service embeds the question
    /// once and then waits for its database.
    pub searches_at_once: usize,
    /// The largest answer, in bytes. 8 MiB: the text of a document that fits into any prompt.
    pub answer_bytes_max: usize,
    /// The largest file sent, in bytes. 64 MiB: it is held in memory once here and once there.
    pub upload_bytes_max: usize,
}

impl HttpRagConfig {
    /// The service at this address for the users of `tenant`, all else as the fields say.
    #[must_use]
    pub fn new(base_url: impl Into<String>, tenant: TenantId) -> Self {
        Self {
            base_url: base_url.into(),
            tenant,
            secret: None,
            entity: None,
            connect_ms: 2_000,
            search_ms: 5_000,
            upload_ms: 300_000,
            token_seconds: 300,
            searches_at_once: 8,
            answer_bytes_max: 8 * 1024 * 1024,
            upload_bytes_max: 64 * 1024 * 1024,
        }
    }

    /// The same with tokens signed by `secret`.
    #[must_use]
    pub fn with_secret(mut self, secret: SecretString) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The same for an entity's files too.
    #[must_use]
    pub fn with_entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// Refuses what cannot work, before anything is sent.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what: &str| {
            Err(RagError::new(RagErrorKind::Invalid, "set up retrieval service", what))
        };
        let rest = self
            .base_url
            .split_once("://")
            .filter(|(scheme, _)| ["http", "https"].contains(scheme));
        let Some((_, rest)) = rest else {
            return refuse("base_url must start with http:// or https://");
        };
        if rest.contains(['@', '?', '#']) || rest.starts_with('/') || rest.is_empty() {
            return refuse("base_url must be a host and a path: no user part, no query");
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
            return refuse("secret is empty; leave it out if the service is open");
        }
        let times = [self.connect_ms, self.search_ms, self.upload_ms, self.token_seconds];
        if times.contains(&0) || self.searches_at_once == 0 {
            return refuse("a time-out or a number of searches is 0: nothing could be asked");
        }
        Ok(())
    }
}

impl fmt::Debug for HttpRagConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRagConfig")
            .field("base_url", &self.base_url.split(['@', '?']).next().unwrap_or_default())
            .field("tenant", &self.tenant)
            .field("has_secret", &self.secret.is_some())
            .field("entity", &self.entity)
            .finish_non_exhaustive()
    }
}
