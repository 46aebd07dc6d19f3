//! The ledger of a billing service, where the configuration names one.
//!
//! Making it asks nobody: whether the service answers is found out by recovery, when the client starts,
//! or by [`ask_billing_service`].

use chat_core::BaseClientBuilder;
use chat_provider::ProviderRegistry;
use chat_usage::PriceBook;

use crate::accounts_config::AccountsConfig;
use crate::{RuntimeError, Store};

/// The ledger that stands in the place of the store's own.
#[cfg(feature = "balance-http")]
pub(crate) type ExternalLedger = std::sync::Arc<chat_balance_http::HttpLedger>;

/// Without the feature there is none.
#[cfg(not(feature = "balance-http"))]
pub(crate) type ExternalLedger = std::convert::Infallible;

/// The ledger of the service that the configuration names; none if the store keeps it.
#[cfg(feature = "balance-http")]
pub(crate) fn ledger(accounts: &AccountsConfig) -> Result<Option<ExternalLedger>, RuntimeError> {
    use std::sync::Arc;

    use chat_balance_http::{HttpLedger, HttpLedgerConfig};
    use chat_transport::{HttpTransport, HttpTransportConfig};

    let AccountsConfig::External(service) = accounts else {
        return Ok(None);
    };
    let name = &service.secret_env;
    let Some(secret) = crate::environment::secret(name) else {
        let detail = format!("accounts.secret_env: the variable `{name}` is not set");
        return Err(RuntimeError::InvalidConfig { detail });
    };
    let mut config = HttpLedgerConfig::new(&service.base_url, secret);
    config.secret_name.clone_from(name);
    config.connect_ms = service.connect_ms.unwrap_or(config.connect_ms);
    config.answer_ms = service.answer_ms.unwrap_or(config.answer_ms);
    config.whole_ms = service.whole_ms.unwrap_or(config.whole_ms);
    let transport = Arc::new(HttpTransport::new(HttpTransportConfig::default()));
    let ledger = HttpLedger::new(config, transport)
        .map_err(|error| RuntimeError::InvalidConfig { detail: format!("accounts.{error}") })?;
    Ok(Some(Arc::new(ledger)))
}

#[cfg(not(feature = "balance-http"))]
pub(crate) fn ledger(accounts: &AccountsConfig) -> Result<Option<ExternalLedger>, RuntimeError> {
    match accounts {
        AccountsConfig::Unlimited
        | AccountsConfig::Limited { .. }
        | AccountsConfig::Budgets { .. } => Ok(None),
        AccountsConfig::External(_) => Err(RuntimeError::FeatureOff {
            wanted: "an account of kind `external`".to_owned(),
            feature: "balance-http",
        }),
    }
}

/// Asks the billing service that the configuration names for one row, which changes nothing there.
///
/// The URL of the service that answered, without what it may hide; none if the store keeps the ledger.
///
/// # Errors
/// `InvalidConfig`, `FeatureOff`, or what the service or the way to it did not do: it may be asked again.
pub async fn ask_billing_service(
    accounts: &AccountsConfig,
) -> Result<Option<String>, RuntimeError> {
    let asked = ledger(accounts)?;
    let AccountsConfig::External(service) = accounts else {
        return Ok(None);
    };
    if let Some(ledger) = asked {
        ask(ledger).await?;
    }
    Ok(Some(crate::shown_url(&service.base_url)))
}

#[cfg(feature = "balance-http")]
async fn ask(ledger: ExternalLedger) -> Result<(), RuntimeError> {
    use chat_balance::LedgerMaintenance as _;
    use chat_core::TurnError;
    use chat_types::Timestamp;

    let holds = ledger.open_holds(Timestamp::from_unix_ms(0), 1).await;
    holds.map(drop).map_err(|error| RuntimeError::Start(TurnError::Balance(error)))
}

#[cfg(not(feature = "balance-http"))]
async fn ask(ledger: ExternalLedger) -> Result<(), RuntimeError> {
    match ledger {}
}

/// A client's builder on the store, with its own ledger or this one.
#[cfg(feature = "balance-http")]
pub(crate) fn builder(
    ledger: Option<ExternalLedger>,
    store: &Store,
    providers: ProviderRegistry,
    prices: PriceBook,
) -> BaseClientBuilder {
    match ledger {
        Some(ledger) => store.builder_with_ledger(ledger, providers, prices),
        None => store.builder(providers, prices),
    }
}

#[cfg(not(feature = "balance-http"))]
pub(crate) fn builder(
    _ledger: Option<ExternalLedger>,
    store: &Store,
    providers: ProviderRegistry,
    prices: PriceBook,
) -> BaseClientBuilder {
    store.builder(providers, prices)
}
