//! An open store: the same five ports, whatever the engine under them.
//!
//! Not here: what a URL means (`store_url`), what an engine says of itself (`store_check`).

use std::sync::Arc;

use chat_archive::{LedgerPorts, Stores};
use chat_balance::{BalanceAdapter, LedgerMaintenance, MemoryLedger};
use chat_core::BaseClientBuilder;
use chat_persist::{Maintenance, MemoryStore, PersistenceAdapter};
use chat_provider::ProviderRegistry;
use chat_types::{Scope, TenantId, UserId};
use chat_usage::{MemoryUsageStore, PriceBook, UsageStore};

use crate::RuntimeError;
#[cfg(feature = "mongo")]
use crate::no_billing::NoBilling;
use crate::store_url::{StoreKind, store_kind};

/// The tenant of programs that have only one.
const TENANT: &str = "default";

/// A store that is open. Cheap to clone; all clones are one store.
#[derive(Clone, Debug)]
pub struct Store {
    kind: StoreKind,
    pub(crate) engine: Engine,
}

#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Memory(Arc<MemoryStore>, Arc<MemoryLedger>, Arc<MemoryUsageStore>),
    #[cfg(feature = "sqlite")]
    Sqlite(Arc<chat_persist_sqlite::SqliteStore>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<chat_persist_postgres::PostgresStore>),
    #[cfg(feature = "mongo")]
    Mongo(Arc<chat_persist_mongo::MongoStore>),
}

impl Store {
    /// Opens what `url` means and brings its schema up to date. Starts no client: nothing is
    /// recovered, and no model is needed.
    ///
    /// # Errors
    /// As [`store_kind`]; `Store` if it cannot be reached or read.
    pub async fn open(url: &str) -> Result<Self, RuntimeError> {
        let kind = store_kind(url)?;
        let engine = match &kind {
            StoreKind::Memory => Engine::memory(),
            StoreKind::Sqlite { path } => Engine::sqlite(path).await?,
            StoreKind::Postgres => Engine::postgres(url).await?,
            StoreKind::Mongo => Engine::mongo(url).await?,
        };
        Ok(Self { kind, engine })
    }

    /// Which engine it is.
    #[must_use]
    pub fn kind(&self) -> &StoreKind {
        &self.kind
    }

    /// Whether turns may start on it.
    ///
    /// # Errors
    /// `CannotBill` saying what it lacks.
    pub fn billing(&self) -> Result<(), RuntimeError> {
        match &self.engine {
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) if !store.has_transactions() => Err(RuntimeError::CannotBill {
                reason: "a standalone MongoDB has no transactions".to_owned(),
                remedy: "make it a replica set, one node is enough: start mongod with \
                         --replSet rs0, then run rs.initiate() once"
                    .to_owned(),
            }),
            #[cfg(feature = "postgres")]
            Engine::Postgres(store) => {
                store.require_billing().map_err(|error| RuntimeError::CannotBill {
                    reason: error.to_string(),
                    remedy: "set it to on in postgresql.conf and restart the server".to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The scope of a user id, whether or not the store has seen it.
    ///
    /// # Errors
    /// `InvalidId` if `user` is no user id.
    pub fn scope_of(&self, user: &str) -> Result<Scope, RuntimeError> {
        Ok(Scope::new(TenantId::new(TENANT)?, UserId::new(user)?))
    }

    /// Its ports, for programs that move or check whole stores; a chat needs
    /// [`Runtime::client`](crate::Runtime::client) only. Without the ledger where it cannot bill.
    #[must_use]
    pub fn ports(&self) -> Stores {
        let stores = match &self.engine {
            Engine::Memory(store, ledger, usage) => Stores {
                persistence: Arc::clone(store) as Arc<dyn PersistenceAdapter>,
                maintenance: Arc::clone(store) as Arc<dyn Maintenance>,
                ledger: Some(LedgerPorts {
                    balance: Arc::clone(ledger) as Arc<dyn BalanceAdapter>,
                    maintenance: Arc::clone(ledger) as Arc<dyn LedgerMaintenance>,
                }),
                usage: Arc::clone(usage) as Arc<dyn UsageStore>,
            },
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(store) => Stores::of(store),
            #[cfg(feature = "postgres")]
            Engine::Postgres(store) => Stores::of(store),
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) if !store.has_transactions() => {
                Stores { usage: Arc::new(NoBilling), ..Stores::of(store) }
            }
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) => Stores::of(store),
        };
        if self.billing().is_ok() { stores } else { stores.without_ledger() }
    }

    /// A client's builder on it.
    pub(crate) fn builder(
        &self,
        providers: ProviderRegistry,
        prices: PriceBook,
    ) -> BaseClientBuilder {
        match &self.engine {
            Engine::Memory(store, ledger, usage) => BaseClientBuilder::new(
                Arc::clone(store),
                Arc::clone(ledger),
                Arc::clone(usage),
                providers,
                prices,
            ),
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(store) => on_one(store, providers, prices),
            #[cfg(feature = "postgres")]
            Engine::Postgres(store) => on_one(store, providers, prices),
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) if !store.has_transactions() => BaseClientBuilder::new(
                Arc::clone(store),
                Arc::new(NoBilling),
                Arc::new(NoBilling),
                providers,
                prices,
            ),
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) => on_one(store, providers, prices),
        }
    }

    /// The same with another ledger than its own: conversations, the journal and usage rows stay
    /// here. A store that cannot bill cannot with this ledger either.
    #[cfg(feature = "balance-http")]
    pub(crate) fn builder_with_ledger<L>(
        &self,
        ledger: Arc<L>,
        providers: ProviderRegistry,
        prices: PriceBook,
    ) -> BaseClientBuilder
    where
        L: BalanceAdapter + LedgerMaintenance,
    {
        match &self.engine {
            Engine::Memory(store, _, usage) => {
                let (store, usage) = (Arc::clone(store), Arc::clone(usage));
                BaseClientBuilder::new(store, ledger, usage, providers, prices)
            }
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(store) => beside(store, ledger, providers, prices),
            #[cfg(feature = "postgres")]
            Engine::Postgres(store) => beside(store, ledger, providers, prices),
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) if !store.has_transactions() => self.builder(providers, prices),
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) => beside(store, ledger, providers, prices),
        }
    }

    /// Waits until everything is written, then closes it. A second call finds nothing to do.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Memory(..) => {}
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Engine::Postgres(store) => store.close().await,
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) => store.close().await,
        }
    }
}

impl Engine {
    fn memory() -> Self {
        Self::Memory(
            Arc::new(MemoryStore::new()),
            Arc::new(MemoryLedger::new()),
            Arc::new(MemoryUsageStore::new()),
        )
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(path: &std::path::Path) -> Result<Self, RuntimeError> {
        use chat_persist_sqlite::{SqliteConfig, SqliteStore};
        Ok(Self::Sqlite(Arc::new(SqliteStore::open(SqliteConfig::new(path)).await?)))
    }

    #[cfg(not(feature = "sqlite"))]
    async fn sqlite(_path: &std::path::Path) -> Result<Self, RuntimeError> {
        Err(off("a SQLite file", "sqlite"))
    }

    #[cfg(feature = "postgres")]
    async fn postgres(url: &str) -> Result<Self, RuntimeError> {
        use chat_persist_postgres::{PostgresConfig, PostgresStore};
        Ok(Self::Postgres(Arc::new(PostgresStore::open(PostgresConfig::new(url)).await?)))
    }

    #[cfg(not(feature = "postgres"))]
    async fn postgres(_url: &str) -> Result<Self, RuntimeError> {
        Err(off("a PostgreSQL database", "postgres"))
    }

    #[cfg(feature = "mongo")]
    async fn mongo(url: &str) -> Result<Self, RuntimeError> {
        use chat_persist_mongo::{MongoConfig, MongoStore};
        Ok(Self::Mongo(Arc::new(MongoStore::open(MongoConfig::new(url)).await?)))
    }

    #[cfg(not(feature = "mongo"))]
    async fn mongo(_url: &str) -> Result<Self, RuntimeError> {
        Err(off("a MongoDB database", "mongo"))
    }
}

#[cfg(any(not(feature = "sqlite"), not(feature = "postgres"), not(feature = "mongo")))]
fn off(wanted: &str, feature: &'static str) -> RuntimeError {
    RuntimeError::FeatureOff { wanted: wanted.to_owned(), feature }
}

/// A builder where one store has all the ports.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mongo"))]
fn on_one<S>(store: &Arc<S>, providers: ProviderRegistry, prices: PriceBook) -> BaseClientBuilder
where
    S: PersistenceAdapter + Maintenance + BalanceAdapter + LedgerMaintenance + UsageStore,
{
    let store = || Arc::clone(store);
    BaseClientBuilder::new(store(), store(), store(), providers, prices)
}

/// A builder where one store has all the ports but the ledger's.
#[cfg(all(
    feature = "balance-http",
    any(feature = "sqlite", feature = "postgres", feature = "mongo")
))]
fn beside<S, L>(
    store: &Arc<S>,
    ledger: Arc<L>,
    providers: ProviderRegistry,
    prices: PriceBook,
) -> BaseClientBuilder
where
    S: PersistenceAdapter + Maintenance + UsageStore,
    L: BalanceAdapter + LedgerMaintenance,
{
    BaseClientBuilder::new(Arc::clone(store), ledger, Arc::clone(store), providers, prices)
}
