//! The readers: a few connections, each read in a task of its own.
//!
//! A caller that goes away never drops a driver call half-way: the task reads to the end and puts
//! the connection back. A read that starts after a write was acknowledged sees it (WAL). Each read
//! is one statement, or statements of which the order alone matters; none opens a transaction.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Semaphore;

use crate::error::{EngineResult, Failure};

/// One read.
#[async_trait]
pub(crate) trait Read: Send + Sync + 'static {
    /// What the caller gets; a refusal by a rule of the port is part of it.
    type Output: Send + 'static;

    /// Reads and decodes.
    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output>;
}

/// Idle connections and the right to use one.
pub(crate) struct Readers {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    size: u32,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Readers {
    pub(crate) fn new(options: SqliteConnectOptions, size: usize) -> Self {
        let size = u32::try_from(size.clamp(1, 64)).unwrap_or(1);
        let permits = usize::try_from(size).unwrap_or(1);
        Self {
            options,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(permits)),
            size,
        }
    }

    /// Runs `read` on one of the connections, in a task of its own.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the permits, and `close` waits for every permit to come back"
    )]
    pub(crate) async fn run<R: Read>(self: Arc<Self>, read: R) -> EngineResult<R::Output> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| Failure::closed())?;
        let task = tokio::spawn(async move {
            let mut connection = match self.take_idle() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let outcome = read.fetch(&mut connection).await;
            let lost = outcome.as_ref().is_err_and(Failure::lost_connection);
            if !lost {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(permit);
            outcome
        });
        task.await.map_err(|_| Failure::closed())?
    }

    fn take_idle(&self) -> Option<SqliteConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Waits for the reads under way, refuses new ones and closes every connection.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        while let Some(connection) = self.take_idle() {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a reading connection was not closed in order");
            }
        }
    }
}
