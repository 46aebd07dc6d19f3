//! Runs operations: each in a task of its own, again when that is safe, and a bounded number of
//! times.
//!
//! Dropping the caller's future leaves its place in the line if it still waits, and else changes
//! nothing: the task goes on to its end. No driver call is ever dropped half-way, except by the
//! operation's own deadline, and then the connection goes with it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::error::{Again, EngineResult, Failure, FailureKind};
use crate::pool::{Place, Pool};
use crate::session::Session;

/// Runs of one operation: with the pauses between them they outlast deadlocks, a burst of writers
/// and a server that restarts at once, and end within about three seconds.
const RUNS_MAX: u32 = 8;

/// The first pause is up to this long, each further one up to twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(25);

/// No pause is longer: a server that is back should not be kept waiting.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A write. `apply` may run several times; all but the last run have left nothing, or have been
/// written without an answer ([`Session::is_repeat`]).
#[async_trait]
pub(crate) trait Write: Send + Sync + 'static {
    type Output: Send + 'static;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output>;
}

/// A read. `fetch` may run several times.
#[async_trait]
pub(crate) trait Read: Send + Sync + 'static {
    type Output: Send + 'static;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output>;
}

/// What operations share.
#[derive(Debug)]
pub(crate) struct Runner {
    pool: Pool,
    deadline: Duration,
}

impl Runner {
    pub(crate) fn new(pool: Pool, deadline: Duration) -> Self {
        Self { pool, deadline }
    }

    pub(crate) async fn write<W: Write>(self: &Arc<Self>, write: W) -> EngineResult<W::Output> {
        self.in_a_task(Writing(write)).await
    }

    pub(crate) async fn read<R: Read>(self: &Arc<Self>, read: R) -> EngineResult<R::Output> {
        self.in_a_task(Reading(read)).await
    }

    /// Waits for the operations at work.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    #[expect(clippy::disallowed_methods, reason = "awaited here; `close` waits for its place")]
    async fn in_a_task<O: Operation>(self: &Arc<Self>, operation: O) -> EngineResult<O::Output> {
        let place = self.pool.place().await?;
        let runner = Arc::clone(self);
        let task = tokio::spawn(async move { runner.run(place, operation).await });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an operation ended badly");
            Err(Failure::new(FailureKind::Unavailable, "the operation ended badly"))
        })
    }

    async fn run<O: Operation>(&self, place: Place, operation: O) -> EngineResult<O::Output> {
        let mut is_repeat = false;
        let mut run = 1;
        loop {
            let failure = match self.run_once(&place, &operation, &mut is_repeat).await {
                Ok(output) => return Ok(output),
                Err(failure) => failure,
            };
            if failure.again == Again::Unknown {
                self.pool.drop_idle();
            }
            if failure.again == Again::No || run == RUNS_MAX {
                return Err(failure);
            }
            tracing::debug!(%failure, run, "an operation is run again");
            tokio::time::sleep(pause_after(run)).await;
            run += 1;
        }
    }

    async fn run_once<O: Operation>(
        &self,
        place: &Place,
        operation: &O,
        is_repeat: &mut bool,
    ) -> EngineResult<O::Output> {
        let connection = self.pool.connection(place).await?;
        let session = Session::new(connection, *is_repeat);
        // A connection that does not come back from here is closed by being dropped.
        let answer = match timeout(self.deadline, apply(operation, session)).await {
            Ok((answer, connection)) => {
                if let Some(connection) = connection {
                    self.pool.give_back(connection);
                }
                answer
            }
            Err(_elapsed) => Err(Failure::lost("the database server did not answer in time")),
        };
        if let Err(failure) = &answer {
            *is_repeat |= failure.again == Again::Unknown;
        }
        answer
    }
}

/// One run: the answer, and the connection if it is clean.
async fn apply<O: Operation>(
    operation: &O,
    mut session: Session,
) -> (EngineResult<O::Output>, Option<PgConnection>) {
    match operation.apply(&mut session).await {
        Ok(output) => match session.end().await {
            Ok(connection) => (Ok(output), Some(connection)),
            Err(failure) => (Err(failure), None),
        },
        Err(failure) if failure.again == Again::Unknown => (Err(failure), None),
        Err(failure) => (Err(failure), session.abandon().await.ok()),
    }
}

/// Half of it by chance, so that those who were in each other's way do not meet again.
fn pause_after(run: u32) -> Duration {
    let doublings = run.saturating_sub(1).min(RUNS_MAX);
    let longest = PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(PAUSE_MAX);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// A read or a write.
#[async_trait]
trait Operation: Send + Sync + 'static {
    type Output: Send + 'static;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output>;
}

struct Writing<W>(W);

#[async_trait]
impl<W: Write> Operation for Writing<W> {
    type Output = W::Output;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        self.0.apply(session).await
    }
}

struct Reading<R>(R);

#[async_trait]
impl<R: Read> Operation for Reading<R> {
    type Output = R::Output;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        self.0.fetch(session.alone()).await
    }
}
