//! The engines that `bench store` measures, and where each finds an empty place of its own.
//!
//! Servers come from the environment. What was written to one stays there, under a random name: a
//! server that was set up for measuring is thrown away.

use std::sync::Arc;

use anyhow::Context as _;
use chat_balance::BalanceAdapter;
use chat_persist::{Maintenance, PersistenceAdapter};
use chat_persist_mongo::{MongoConfig, MongoStore};
use chat_persist_postgres::{PostgresConfig, PostgresStore};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_types::{Scope, TenantId, UserId};
use chat_usage::UsageStore;
use tempfile::TempDir;

const POSTGRES_URL: &str = "CHAT_TEST_POSTGRES_URL";
const MONGO_URL: &str = "CHAT_TEST_MONGO_URL";

/// One engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    Mongo,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mongo];

    /// The name of its bench.
    pub(crate) const fn bench(self) -> &'static str {
        match self {
            Self::Sqlite => "store-sqlite",
            Self::Postgres => "store-postgres",
            Self::Mongo => "store-mongo",
        }
    }

    /// The engine of a bench.
    pub(crate) fn of_bench(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.bench() == name)
    }
}

/// The ports that a turn writes through.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn PersistenceAdapter>,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) ledger: Arc<dyn BalanceAdapter>,
    pub(crate) usage: Arc<dyn UsageStore>,
}

/// A store on an empty place.
pub(crate) struct Opened {
    ports: Ports,
    handle: Handle,
}

enum Handle {
    Sqlite(Arc<SqliteStore>, TempDir),
    Postgres(Arc<PostgresStore>),
    Mongo(Arc<MongoStore>),
}

impl Opened {
    /// Opens the engine on a file, schema or database that nobody has used.
    pub(crate) async fn fresh(engine: Engine) -> anyhow::Result<Self> {
        let name = format!("bench_{:08x}", fastrand::u32(..));
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir()?;
                let config = SqliteConfig::new(folder.path().join("bench.db"));
                let store = Arc::new(SqliteStore::open(config).await?);
                Ok(Self { ports: ports(&store), handle: Handle::Sqlite(store, folder) })
            }
            Engine::Postgres => {
                let config = PostgresConfig::new(url(POSTGRES_URL)?).with_schema(name);
                let store = Arc::new(PostgresStore::open(config).await?);
                Ok(Self { ports: ports(&store), handle: Handle::Postgres(store) })
            }
            Engine::Mongo => {
                let config = MongoConfig::new(in_database(&url(MONGO_URL)?, &name));
                let store = Arc::new(MongoStore::open(config).await?);
                Ok(Self { ports: ports(&store), handle: Handle::Mongo(store) })
            }
        }
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) fn scope(&self, user: UserId) -> anyhow::Result<Scope> {
        Ok(Scope::new(TenantId::new("bench")?, user))
    }

    pub(crate) async fn close(&self) {
        match &self.handle {
            Handle::Sqlite(store, _folder) => store.close().await,
            Handle::Postgres(store) => store.close().await,
            Handle::Mongo(store) => store.close().await,
        }
    }
}

fn ports<S>(store: &Arc<S>) -> Ports
where
    S: PersistenceAdapter + Maintenance + BalanceAdapter + UsageStore,
{
    Ports {
        store: Arc::clone(store) as Arc<dyn PersistenceAdapter>,
        maintenance: Arc::clone(store) as Arc<dyn Maintenance>,
        ledger: Arc::clone(store) as Arc<dyn BalanceAdapter>,
        usage: Arc::clone(store) as Arc<dyn UsageStore>,
    }
}

fn url(variable: &str) -> anyhow::Result<String> {
    std::env::var(variable).with_context(|| {
        format!("{variable} is not set: `cargo xtask services up` starts servers and prints it")
    })
}

/// The URL of another database on the same server.
fn in_database(url: &str, name: &str) -> String {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, hosts) = server.split_once("://").unwrap_or(("mongodb", server));
    let hosts = hosts.split('/').next().unwrap_or(hosts);
    format!("{scheme}://{hosts}/{name}?{query}")
}
