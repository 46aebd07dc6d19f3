//! `Webhook`: one POST per notice; 2xx is delivered, anything else comes again.
//!
//! One attempt each: whoever keeps the notices repeats them, with the same `Idempotency-Key` and
//! the same bytes. Redirects are not followed, and of an answer only the status is read.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chat_balance::{NotDelivered, Notice, NoticeSink};
use chat_transport::{Timeouts, TransportAdapter, TransportRequest};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::config::{InvalidWebhookConfig, WebhookConfig};
use crate::wire::{NoticeBody, id_of};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Posts notices to one address.
pub struct Webhook {
    config: WebhookConfig,
    headers: HeaderMap,
    transport: Arc<dyn TransportAdapter>,
}

impl Webhook {
    /// A webhook that has posted nothing yet.
    ///
    /// # Errors
    /// `InvalidWebhookConfig` naming what cannot work.
    pub fn new(
        config: WebhookConfig,
        transport: Arc<dyn TransportAdapter>,
    ) -> Result<Self, InvalidWebhookConfig> {
        config.check()?;
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
        if let Some(secret) = &config.secret {
            let bearer = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret()));
            let mut bearer = bearer
                .map_err(|_| InvalidWebhookConfig { key: "secret", rule: "it cannot be sent" })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { config, headers, transport })
    }
}

#[async_trait]
impl NoticeSink for Webhook {
    async fn deliver(&self, notice: &Notice) -> Result<(), NotDelivered> {
        let host = self.config.host();
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
            NotDelivered::new("it cannot be sent").with_source(error)
        };
        let body = serde_json::to_vec(&NoticeBody::from(notice)).map_err(|e| unfit(e.into()))?;
        let key = HeaderValue::try_from(id_of(notice)).map_err(|e| unfit(e.into()))?;
        let mut headers = self.headers.clone();
        headers.insert(IDEMPOTENCY_KEY, key);
        let WebhookConfig { connect_ms, answer_ms, .. } = self.config;
        let timeouts = Timeouts {
            connect_ms,
            first_byte_ms: answer_ms,
            idle_ms: answer_ms,
            progress_ms: answer_ms,
            total_ms: connect_ms.saturating_add(answer_ms),
        };
        let request = TransportRequest {
            headers,
            timeouts,
            ..TransportRequest::post(self.config.url.clone(), body)
        };
        let response = self.transport.send(request).await.map_err(|error| {
            NotDelivered::new(format!("{host} did not take it ({:?})", error.kind()))
                .with_source(error)
        })?;
        if response.status.is_success() {
            return Ok(());
        }
        let status = response.status.as_u16();
        Err(NotDelivered::new(format!("{host} answered with status {status}")))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("config", &self.config).finish_non_exhaustive()
    }
}
