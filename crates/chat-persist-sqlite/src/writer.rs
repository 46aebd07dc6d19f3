//! The one writer: commits the waiting writes of many turns in one transaction.
//!
//! Writes that arrive while a commit is being flushed wait together and share the next one. Each
//! checks before it writes, so one that is refused has written nothing and does not disturb the
//! others; if the engine fails a group, it is rolled back and each write runs alone, so that only
//! the guilty one fails. Whoever is answered with `Ok` is on disk.
//! If a caller goes away, his write still takes effect. Not here: what is written (the commands).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::error::{EngineResult, Failure, FailureKind};
use crate::open::connect_writer;
use crate::session::Session;

/// Tries of a transaction that met another process after `BEGIN`. In WAL mode that is a
/// checkpoint or recovery, over in milliseconds; `BEGIN` itself waits for the busy timeout.
const BUSY_TRIES_MAX: u32 = 5;

/// One write. May run more than once, each time on a clean transaction.
#[async_trait]
pub(crate) trait Write: Send + Sync + 'static {
    /// What the caller gets; a refusal by a rule of the port is part of it.
    type Output: Send + 'static;

    /// Reads, decides, writes. Once it has written it must not refuse any more.
    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output>;
}

#[async_trait]
pub(crate) trait Job: Send {
    async fn run(&mut self, session: &mut Session<'_>) -> EngineResult<()>;
    fn answer(self: Box<Self>, outcome: EngineResult<()>);
}

struct TypedJob<W: Write> {
    write: W,
    output: Option<W::Output>,
    reply: oneshot::Sender<EngineResult<W::Output>>,
}

#[async_trait]
impl<W: Write> Job for TypedJob<W> {
    async fn run(&mut self, session: &mut Session<'_>) -> EngineResult<()> {
        self.output = Some(self.write.apply(session).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: EngineResult<()>) {
        let Self { output, reply, .. } = *self;
        // The caller may have gone; the write stands all the same.
        drop(reply.send(outcome.and_then(|()| output.ok_or_else(Failure::closed))));
    }
}

/// What the writer has done so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flushes: AtomicU64,
    pub(crate) commands: AtomicU64,
}

/// Puts a write into the queue and waits until it is on disk.
pub(crate) async fn submit<W: Write>(
    queue: &mpsc::Sender<Box<dyn Job>>,
    write: W,
) -> EngineResult<W::Output> {
    let (reply, answer) = oneshot::channel();
    let job = TypedJob { write, output: None, reply };
    queue.send(Box::new(job)).await.map_err(|_| Failure::closed())?;
    answer.await.map_err(|_| Failure::closed())?
}

/// The writer's task: owns its connection and ends when the last handle is gone.
pub(crate) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    batch_max: usize,
    counters: Arc<Counters>,
}

impl Writer {
    pub(crate) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        batch_max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self { options, connection: Some(connection), batch_max: batch_max.max(1), counters }
    }

    /// Serves until every handle is dropped and the queue is empty, then closes the connection,
    /// which moves the WAL into the file.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut group = Vec::with_capacity(self.batch_max);
        while queue.recv_many(&mut group, self.batch_max).await > 0 {
            // Writes that one task issues together belong into one flush: let it finish.
            tokio::task::yield_now().await;
            while group.len() < self.batch_max
                && let Ok(job) = queue.try_recv()
            {
                group.push(job);
            }
            self.serve(&mut group).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database file was not closed in order");
        }
    }

    async fn serve(&mut self, group: &mut Vec<Box<dyn Job>>) {
        let outcome = self.transact(group).await;
        match outcome {
            Err(_) if group.len() > 1 => {
                for mut job in group.drain(..) {
                    let outcome = self.transact(std::slice::from_mut(&mut job)).await;
                    job.answer(outcome);
                }
            }
            outcome => {
                for job in group.drain(..) {
                    job.answer(outcome.clone());
                }
            }
        }
    }

    /// Runs `group` in one transaction; after an error nothing of it is there.
    async fn transact(&mut self, group: &mut [Box<dyn Job>]) -> EngineResult<()> {
        let mut tries = 1;
        loop {
            let outcome = self.transact_once(group).await;
            match outcome {
                Err(Attempt::Late(failure))
                    if failure.kind == FailureKind::Busy && tries < BUSY_TRIES_MAX =>
                {
                    tokio::time::sleep(Duration::from_millis(u64::from(tries) * 5)).await;
                    tries += 1;
                }
                Err(Attempt::Early(failure) | Attempt::Late(failure)) => return Err(failure),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn transact_once(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Attempt> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_writer(&self.options).await.map_err(Attempt::Early)?,
        };
        let mut session = Session::new(&mut connection);
        let outcome = fill_and_commit(group, &mut session).await;
        let has_begun = session.has_begun;
        match outcome {
            Ok(()) => {
                self.connection = Some(connection);
                self.count(group.len());
                Ok(())
            }
            Err(failure) => {
                // A full disk may have rolled back by itself: then there is nothing to roll back.
                let rolled_back = sqlx::query("ROLLBACK").execute(&mut connection).await;
                // The beginning travels with a program, so a rollback may tell first.
                let has_begun = has_begun || rolled_back.is_ok();
                if has_begun || matches!(failure.kind, FailureKind::Busy | FailureKind::Full) {
                    if !failure.lost_connection() {
                        self.connection = Some(connection);
                    }
                } else {
                    // No transaction begins and nobody holds the lock: the connection is no good.
                    tracing::warn!(?rolled_back, "the writer's connection is opened again");
                }
                Err(if has_begun { Attempt::Late(failure) } else { Attempt::Early(failure) })
            }
        }
    }

    fn count(&self, commands: usize) {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        let commands = u64::try_from(commands).unwrap_or(u64::MAX);
        self.counters.commands.fetch_add(commands, Ordering::Relaxed);
    }
}

async fn fill_and_commit(
    group: &mut [Box<dyn Job>],
    session: &mut Session<'_>,
) -> EngineResult<()> {
    let jobs = group.len();
    for (place, job) in group.iter_mut().enumerate() {
        session.is_last = place.saturating_add(1) == jobs;
        job.run(session).await?;
    }
    session.end().await
}

/// Where a transaction failed: before it began, or within.
enum Attempt {
    Early(Failure),
    Late(Failure),
}
