//! A runtime with a layer around every call of its store: what `Runtime` does, with something in between.
//!
//! Not here: the layers themselves (`chat-testkit`), and any provider but OpenAI's dialect.

use std::sync::Arc;

use anyhow::Context;
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_runtime::provider::ProviderRegistry;
use chat_runtime::types::{ModelId, ProviderId};
use chat_runtime::usage::PriceBook;
use chat_runtime::{
    AccountsConfig, BaseClient, BaseClientBuilder, ProviderConfig, RuntimeConfig, Scope, Store,
};
use chat_testkit::{Layer, Layered};
use chat_transport::{HttpTransport, HttpTransportConfig};

/// An open store, and a client whose every call passes the layer.
#[derive(Debug)]
pub struct LayeredRuntime {
    client: BaseClient,
    store: Store,
}

impl LayeredRuntime {
    /// Opens what the configuration names. Its providers must be of kind `openai`, their keys in
    /// `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// The configuration is wrong, the store does not open, or recovery fails.
    pub async fn open(config: &RuntimeConfig, layer: Arc<dyn Layer>) -> anyhow::Result<Self> {
        let providers = providers(config)?;
        let mut prices = PriceBook::shipped()?;
        if let Some(path) = &config.prices {
            prices = prices.with_overrides(PriceBook::from_toml(&std::fs::read_to_string(path)?)?);
        }
        let is_here = !matches!(config.accounts, AccountsConfig::External(_));
        anyhow::ensure!(is_here, "the layer is around the store's own ledger");
        let accounts = config.accounts.policy()?;
        let store = Store::open(&config.store).await?;
        let stores = store.ports();
        let ledger = stores.ledger.context("the store cannot bill")?;
        let layered = Arc::new(Layered {
            store: stores.persistence,
            maintenance: stores.maintenance,
            ledger: ledger.balance,
            ledger_maintenance: ledger.maintenance,
            usage: stores.usage,
            layer,
        });
        let ports = || Arc::clone(&layered);
        let builder = BaseClientBuilder::new(ports(), ports(), ports(), providers, prices)
            .accounts(accounts)
            .config(config.turns.clone());
        let client = builder.start().await?;
        Ok(Self { client, store })
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &BaseClient {
        &self.client
    }

    /// The scope of a user.
    ///
    /// # Errors
    /// `user` is no user id.
    pub fn scope(&self, user: &str) -> anyhow::Result<Scope> {
        Ok(self.store.scope_of(user)?)
    }

    /// Ends gracefully.
    pub async fn close(&self) {
        self.client.drain().await;
        self.store.close().await;
    }
}

fn providers(config: &RuntimeConfig) -> anyhow::Result<ProviderRegistry> {
    let mut registry = ProviderRegistry::new();
    for (name, provider) in &config.providers {
        let ProviderConfig::Openai(server) = provider else {
            anyhow::bail!("providers.{name} is not of kind openai");
        };
        let base_url = server.base_url.as_deref().context("a provider without a base_url")?;
        let mut openai =
            OpenAiConfig::compatible(ProviderId::new(name)?, base_url, ModelId::new("fake")?);
        openai.api_key = std::env::var("OPENAI_API_KEY").ok().map(Into::into);
        let transport = HttpTransport::new(HttpTransportConfig::default());
        registry = registry.with(Arc::new(OpenAiProvider::new(openai, Arc::new(transport))?));
    }
    if let Some(model) = &config.model {
        let model = registry.resolve(model)?;
        registry = registry.with_default(model);
    }
    Ok(registry)
}
