//! `Runtime`: a configuration, open and running.

use std::sync::Arc;

#[cfg(feature = "rag-local")]
use chat_context::rag::RagIndex;
use chat_core::BaseClient;
use chat_types::Scope;
use chat_usage::PriceBook;

use crate::RuntimeError;
use crate::config::RuntimeConfig;
use crate::external;
use crate::extras::Extras;
use crate::providers::{registry, titles};
use crate::store::Store;

/// A running client and the store under it.
#[derive(Debug)]
pub struct Runtime {
    client: BaseClient,
    store: Store,
    #[cfg(feature = "rag-local")]
    sources: Option<Arc<dyn RagIndex>>,
}

impl Runtime {
    /// Opens the store, makes the providers and starts the client; finishes what a crashed process
    /// left behind. Calls no model and loads no weights.
    ///
    /// # Errors
    /// `RuntimeError`; a store that cannot be read was left untouched. `CannotBill` if the store
    /// has no transactions (a MongoDB that is no replica set): [`Extras::without_billing`] opens it
    /// for reading.
    pub async fn open(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        Self::open_with(config, Extras::new()).await
    }

    /// The same with what no configuration can name.
    ///
    /// # Errors
    /// As [`Runtime::open`].
    pub async fn open_with(config: RuntimeConfig, extras: Extras) -> Result<Self, RuntimeError> {
        let accounts = match &extras.accounts {
            Some(accounts) => Arc::clone(accounts),
            None => config.accounts.policy()?,
        };
        let ledger = external::ledger(&config.accounts)?;
        let sink = match (&extras.notice_sink, extras.without_billing) {
            (_, true) => None,
            (Some(sink), _) => Some(Arc::clone(sink)),
            (None, _) => config.notices.sink()?,
        };
        let prices = prices(&config)?;
        let providers = registry(&config, &extras)?;
        let titles = titles(&config, &providers)?;
        let context = config.context.context()?;
        let summaries = config.context.summaries(&providers, &context)?;
        let library = match &config.files {
            Some(files) => Some(files.library().await?),
            None => None,
        };
        #[cfg(feature = "rag-local")]
        let sources = match &config.retrieval {
            Some(sources) => Some(sources.open().await?),
            None => None,
        };
        #[cfg(not(feature = "rag-local"))]
        if let Some(sources) = &config.retrieval {
            return Err(sources.refuse());
        }
        let store = Store::open(&config.store).await?;
        if !extras.without_billing
            && let Err(error) = store.billing()
        {
            store.close().await;
            return Err(error);
        }
        let mut builder = external::builder(ledger, &store, providers, prices);
        builder = builder.accounts(accounts).config(config.turns);
        builder = builder.context(context).summaries(summaries);
        if let (Some(library), Some(files)) = (library, &config.files) {
            builder = builder.files(library, files.caps);
        }
        #[cfg(feature = "rag-local")]
        if let Some(sources) = &sources {
            builder = builder.retrieval(sources.retrieval.clone());
        }
        if let Some(sink) = sink {
            builder = builder.notice_sink(sink);
        }
        if extras.without_recovery {
            builder = builder.without_recovery();
        }
        if let Some(instructions) = config.instructions {
            builder = builder.instructions(instructions);
        }
        if let Some(titles) = titles {
            builder = builder.titles(titles);
        }
        if let Some(toolbox) = extras.toolbox {
            builder = builder.toolbox(toolbox);
        }
        for guard in extras.guards {
            builder = builder.prompt_guard(guard);
        }
        for observer in extras.observers {
            builder = builder.observer(observer);
        }
        match builder.start().await {
            Ok(client) => Ok(Self {
                client,
                store,
                #[cfg(feature = "rag-local")]
                sources: sources.map(|sources| sources.index),
            }),
            Err(error) => {
                store.close().await;
                Err(error.into())
            }
        }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &BaseClient {
        &self.client
    }

    /// The store under it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The index of documents, if one is configured.
    #[cfg(feature = "rag-local")]
    #[must_use]
    pub fn sources(&self) -> Option<&Arc<dyn RagIndex>> {
        self.sources.as_ref()
    }

    /// The scope of a user.
    ///
    /// # Errors
    /// `InvalidId` if `user` is no user id.
    pub fn scope(&self, user: &str) -> Result<Scope, RuntimeError> {
        self.store.scope_of(user)
    }

    /// Ends gracefully: waits for running turns as [`BaseClient::drain`] does, then for the store.
    /// A second call finds nothing to do.
    pub async fn close(&self) {
        self.client.drain().await;
        self.store.close().await;
    }
}

fn prices(config: &RuntimeConfig) -> Result<PriceBook, RuntimeError> {
    let shipped = PriceBook::shipped()?;
    let Some(path) = &config.prices else {
        return Ok(shipped);
    };
    let text = std::fs::read_to_string(path)
        .map_err(|source| RuntimeError::Unreadable { path: path.clone(), source })?;
    Ok(shipped.with_overrides(PriceBook::from_toml(&text)?))
}
