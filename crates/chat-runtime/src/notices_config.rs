//! `[notices]`: who hears what the ledger has to tell.

use std::fmt;
use std::sync::Arc;

use chat_balance::NoticeSink;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::store_url::shown_url;

/// Where notices of low balances, overruns and refusals go. Without an address they wait to be
/// taken, for thirty days.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NoticesConfig {
    /// The address that each notice is posted to, `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// The environment variable that holds a secret, sent as a bearer token; none: no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
}

impl NoticesConfig {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn without_credentials(&self) -> Self {
        Self { webhook: self.webhook.as_deref().map(shown_url), ..self.clone() }
    }

    /// The sink it means; asks nobody.
    #[cfg(feature = "webhook")]
    pub(crate) fn sink(&self) -> Result<Option<Arc<dyn NoticeSink>>, RuntimeError> {
        use chat_transport::{HttpTransport, HttpTransportConfig};
        use chat_webhook::{Webhook, WebhookConfig};

        let invalid =
            |detail: String| RuntimeError::InvalidConfig { detail: format!("notices.{detail}") };
        let Some(url) = &self.webhook else {
            if self.secret_env.is_some() {
                return Err(invalid("secret_env: there is no webhook to send it to".to_owned()));
            }
            return Ok(None);
        };
        let mut config = WebhookConfig::new(url);
        if let Some(name) = &self.secret_env {
            let secret = crate::environment::secret(name);
            let missing = || invalid(format!("secret_env: the variable `{name}` is not set"));
            config.secret = Some(secret.ok_or_else(missing)?);
        }
        let transport = Arc::new(HttpTransport::new(HttpTransportConfig::default()));
        let webhook =
            Webhook::new(config, transport).map_err(|error| invalid(error.to_string()))?;
        Ok(Some(Arc::new(webhook)))
    }

    #[cfg(not(feature = "webhook"))]
    pub(crate) fn sink(&self) -> Result<Option<Arc<dyn NoticeSink>>, RuntimeError> {
        if self.is_none() {
            return Ok(None);
        }
        let wanted = "notices by webhook".to_owned();
        Err(RuntimeError::FeatureOff { wanted, feature: "webhook" })
    }
}

impl fmt::Debug for NoticesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticesConfig")
            // A user part or a query may hold a key.
            .field("webhook", &self.webhook.as_deref().map(shown_url))
            .field("secret_env", &self.secret_env)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::RuntimeConfig;

    const CONFIG: &str = r#"
        store = "memory:"
        [notices]
        webhook = "https://ada:hunter2@hooks.example/chat?key=hunter3"
    "#;

    #[test]
    fn a_webhook_is_read_and_shown_without_what_its_url_hides() {
        let config = RuntimeConfig::from_toml(CONFIG).expect("valid");
        let shown = config.to_toml().expect("has a form");
        assert!(shown.contains("hooks.example/chat"), "{shown}");
        for text in [shown, format!("{config:?}")] {
            assert!(!text.contains("hunter"), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let refused = RuntimeConfig::from_toml(&format!("{CONFIG} secret = 1"));
        assert!(refused.expect_err("refused").to_string().contains("secret"));
    }
}
