//! The store's handle: cheap to clone, all clones share the connections.

use std::sync::Arc;
use std::time::Duration;

use crate::PostgresConfig;
use crate::books::Books;
use crate::error::{EngineResult, Failure, FailureKind};
use crate::open;
use crate::runner::{Read, Runner, Write};

/// One schema of a PostgreSQL database: implements the ports of persistence, balance and usage.
///
/// Any number of stores, in this or other processes, may be open on one database. Dropping the
/// last handle closes the connections once their operations are through; [`PostgresStore::close`]
/// waits for that.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    runner: Arc<Runner>,
    // Why no money may be booked here, if so.
    unsafe_setting: Option<Arc<str>>,
    books: Arc<Books>,
}

impl PostgresStore {
    /// Connects, checks the server and brings the schema up to date.
    ///
    /// # Errors
    /// `Unsupported` if the URL or schema name cannot be used, the login is refused, or the server
    /// is older than PostgreSQL 13, a replica, or does not keep text as UTF-8; `Corrupt` if the
    /// schema is another program's; `NewerSchema` if a newer version wrote it; then it was left
    /// untouched. `Unavailable` if the server does not answer.
    pub async fn open(config: PostgresConfig) -> chat_persist::Result<Self> {
        Self::open_engine(&config).await.map_err(|failure| failure.persist("open"))
    }

    async fn open_engine(config: &PostgresConfig) -> EngineResult<Self> {
        let opened = open::open(config).await?;
        let deadline = Duration::from_millis(u64::from(config.operation_timeout_ms));
        let runner = Arc::new(Runner::new(opened.pool, deadline));
        let unsafe_setting = opened.unsafe_setting.map(Arc::from);
        Ok(Self { runner, unsafe_setting, books: Arc::default() })
    }

    /// Refuses a server whose settings can lose what it has acknowledged. To be asked at start by
    /// whoever books money here; the ledger's writes ask again.
    ///
    /// # Errors
    /// `Unsupported`, naming the setting (`fsync`, `full_page_writes` or `synchronous_commit`).
    pub fn require_billing(&self) -> chat_persist::Result<()> {
        self.billing().map_err(|failure| failure.persist("check settings"))
    }

    /// The same for the ledger's own writes.
    pub(crate) fn billing(&self) -> EngineResult<()> {
        match &self.unsafe_setting {
            None => Ok(()),
            Some(detail) => Err(Failure::new(FailureKind::Unsupported, detail.as_ref())),
        }
    }

    /// Waits for the operations under way and closes the connections. Later calls on any handle
    /// answer `Unavailable`. A second call only waits.
    pub async fn close(&self) {
        self.runner.close().await;
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    pub(crate) async fn write<W: Write>(&self, write: W) -> EngineResult<W::Output> {
        self.runner.write(write).await
    }

    pub(crate) async fn read<R: Read>(&self, read: R) -> EngineResult<R::Output> {
        self.runner.read(read).await
    }
}
