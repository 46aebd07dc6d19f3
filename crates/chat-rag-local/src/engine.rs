//! The file's connections: one writes, a few read, each call in a task of its own.
//!
//! A caller that goes away never drops a driver call half-way: the task runs to its end and puts
//! the connection back. A write is one transaction; a read sees one moment of the file.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::Semaphore;

use crate::LocalRagConfig;
use crate::error::{EngineResult, Failure};
use crate::open;

/// What is done within one transaction.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    type Output: Send + 'static;

    async fn run(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output>;
}

/// Connections of one kind, and how many of them may be in use.
struct Lane {
    options: SqliteConnectOptions,
    begin: &'static str,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    size: u32,
}

impl Lane {
    fn new(
        options: SqliteConnectOptions,
        begin: &'static str,
        size: u32,
        idle: Vec<SqliteConnection>,
    ) -> Arc<Self> {
        let permits = usize::try_from(size).unwrap_or(1);
        let (idle, permits) = (Mutex::new(idle), Arc::new(Semaphore::new(permits)));
        Arc::new(Self { options, begin, idle, permits, size })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the permits, and `close` waits for every permit to come back"
    )]
    async fn run<W: Work>(self: &Arc<Self>, work: W) -> EngineResult<W::Output> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Failure::closed())?;
        let lane = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = lane.transact(&work).await;
            drop(permit);
            outcome
        });
        task.await.map_err(|_| Failure::closed())?
    }

    async fn transact<W: Work>(&self, work: &W) -> EngineResult<W::Output> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let outcome = self.within(&mut connection, work).await;
        let is_lost = match &outcome {
            Ok(_) => false,
            Err(failure) if failure.lost_connection() => true,
            // After some errors the engine has rolled back by itself; then this one fails.
            Err(_) => {
                let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
                false
            }
        };
        if !is_lost {
            self.idle().push(connection);
        }
        outcome
    }

    async fn within<W: Work>(
        &self,
        connection: &mut SqliteConnection,
        work: &W,
    ) -> EngineResult<W::Output> {
        sqlx::query(self.begin).execute(&mut *connection).await?;
        let output = work.run(connection).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(output)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the calls under way, refuses new ones and closes every connection.
    async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection to the index was not closed in order");
            }
        }
    }
}

/// The open file.
pub(crate) struct Engine {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("readers", &self.readers.size).finish_non_exhaustive()
    }
}

impl Engine {
    pub(crate) async fn open(config: &LocalRagConfig) -> EngineResult<Self> {
        let opened = open::open(config).await?;
        let readers = u32::try_from(config.read_connections.clamp(1, 64)).unwrap_or(1);
        let writer = Lane::new(opened.writer_options, "BEGIN IMMEDIATE", 1, vec![opened.writer]);
        let readers = Lane::new(opened.reader_options, "BEGIN", readers, Vec::new());
        Ok(Self { writer, readers })
    }

    pub(crate) async fn write<W: Work>(&self, work: W) -> EngineResult<W::Output> {
        self.writer.run(work).await
    }

    pub(crate) async fn read<W: Work>(&self, work: W) -> EngineResult<W::Output> {
        self.readers.run(work).await
    }

    /// The readers first: the last connection to go moves the WAL into the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
