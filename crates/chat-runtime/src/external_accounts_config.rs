//! `[accounts] kind = "external"`: which billing service keeps the ledger, and who pays there.
//!
//! Not here: asking it (`external`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chat_core::{AccountPolicy, OneAccountPerUser};
use chat_types::Money;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::budget_config::{BudgetConfig, budgets_policy, invalid, threshold};
use crate::store_url::shown_url;
use crate::usd::parse_usd;

/// A billing service that speaks the contract of `docs/external-billing.md`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExternalAccountsConfig {
    /// Where it answers, without `/v1`.
    pub base_url: String,
    /// The environment variable that holds its secret.
    pub secret_env: String,
    /// What a user's account is opened with that the service does not know yet, in US dollars;
    /// none: nothing, what a new account gets is the service's business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_usd: Option<String>,
    /// A user's account is low below this, in US dollars, if the service says so; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_below_usd: Option<String>,
    /// How long connecting may take; none: 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// How long one attempt may wait for its answer; none: 3 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_ms: Option<u64>,
    /// How long a call with all its attempts may take; none: 8 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_ms: Option<u64>,
    /// All that a call falls under pay for it; none: one account per user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetConfig>,
    /// The users of each team.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, Vec<String>>,
}

impl ExternalAccountsConfig {
    /// The service at this address, its secret in this environment variable, one account per user.
    #[must_use]
    pub fn new(base_url: impl Into<String>, secret_env: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            secret_env: secret_env.into(),
            opening_usd: None,
            warn_below_usd: None,
            connect_ms: None,
            answer_ms: None,
            whole_ms: None,
            budgets: Vec::new(),
            teams: BTreeMap::new(),
        }
    }

    /// Who pays there.
    pub(crate) fn policy(&self) -> Result<Arc<dyn AccountPolicy>, RuntimeError> {
        let opening = self.opening_usd.as_deref().map(parse_usd).transpose()?;
        if self.budgets.is_empty() {
            let opening = opening.unwrap_or(Money::ZERO);
            let warn_below = threshold(self.warn_below_usd.as_deref())?;
            return Ok(Arc::new(OneAccountPerUser::limited(opening).warn_below(warn_below)));
        }
        if opening.is_some() {
            return Err(invalid("with budgets there is no opening_usd: each has its own opening"));
        }
        if self.warn_below_usd.is_some() {
            return Err(invalid(
                "with budgets there is no warn_below_usd: each has its warn_below",
            ));
        }
        budgets_policy(&self.budgets, &self.teams)
    }
}

impl fmt::Debug for ExternalAccountsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccountsConfig")
            // A user part or a query may hold a key.
            .field("base_url", &shown_url(&self.base_url))
            .field("secret_env", &self.secret_env)
            .field("opening_usd", &self.opening_usd)
            .field("warn_below_usd", &self.warn_below_usd)
            .field("connect_ms", &self.connect_ms)
            .field("answer_ms", &self.answer_ms)
            .field("whole_ms", &self.whole_ms)
            .field("budgets", &self.budgets)
            .field("teams", &self.teams)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountsConfig, RuntimeConfig};

    const SERVICE: &str = r#"
        store = "memory:"
        [accounts]
        kind = "external"
        base_url = "https://ada:hunter2@billing:8443/chat?key=hunter3"
        secret_env = "BILLING_SECRET"
    "#;

    #[test]
    fn a_billing_service_is_read_and_shown_without_what_its_url_hides() {
        let config = RuntimeConfig::from_toml(&format!("{SERVICE} whole_ms = 5000"));
        let config = config.expect("valid");
        let mut service =
            ExternalAccountsConfig::new("https://billing:8443/chat", "BILLING_SECRET");
        service.whole_ms = Some(5_000);
        let shown = config.to_toml().expect("has a form");
        let again = RuntimeConfig::from_toml(&shown).expect("valid");
        assert_eq!(again.accounts, AccountsConfig::External(service));
        for text in [shown, format!("{config:?}")] {
            assert!(!text.contains("hunter"), "{text}");
        }
    }

    #[test]
    fn an_unknown_or_a_missing_key_is_refused_by_name() {
        let without_secret = SERVICE.replace("secret_env = \"BILLING_SECRET\"", "");
        for (text, key) in
            [(format!("{SERVICE} secret = 1"), "`secret`"), (without_secret, "secret_env")]
        {
            let refused = RuntimeConfig::from_toml(&text).map_err(|error| error.to_string());
            let message = refused.expect_err("refused");
            assert!(message.contains(key) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn budgets_are_paid_there_as_here() {
        let budget = "budgets = [{ name = \"monthly\", per = \"user\", opening = \"1\" }]";
        let policy = |text: &str| {
            let config = RuntimeConfig::from_toml(&format!("{SERVICE} {text}")).expect("valid");
            let shown = config.to_toml().expect("has a form");
            assert_eq!(
                RuntimeConfig::from_toml(&shown).expect("valid").to_toml().ok(),
                Some(shown)
            );
            config.accounts.policy().map(|policy| format!("{policy:?}"))
        };
        assert!(policy("").expect("valid").contains("OneAccountPerUser"));
        assert!(policy(budget).expect("valid").contains("monthly"));
        let both = policy(&format!("{budget}\nopening_usd = \"1\""));
        assert!(both.expect_err("refused").to_string().contains("opening_usd"));
    }
}
