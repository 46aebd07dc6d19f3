//! The store's handle, and the one way to read and write.
//!
//! Every operation runs in a task of its own: a caller that drops its future drops a waiting, never
//! a driver's call. A write is a transaction on a replica set and runs again as a whole when the
//! server says that this may help; on a standalone server the same steps run in order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chat_types::{ConversationId, Scope};
use futures::future::BoxFuture;
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions};
use mongodb::{Client, ClientSession, Database};
use tokio::sync::Semaphore;

use crate::MongoConfig;
use crate::books::Books;
use crate::connect::{Connected, Topology, write_concern};
use crate::error::{EngineResult, Failure, FailureKind, Outcome, PortError, Stop};
use crate::heard::Heard;
use crate::lanes::{Lanes, Pass};
use crate::object_ids::ObjectIds;
use crate::unit::Unit;

/// The first pause before a unit runs again; it doubles each time.
const PAUSE_FIRST_MS: u64 = 2;

/// The longest pause: a turn waits for it, and a primary is elected within a few of them.
const PAUSE_MAX_MS: u64 = 250;

/// How often a commit of unknown outcome is sent again; each waits for a primary first.
const COMMITS_MAX: u32 = 8;

/// One MongoDB database: implements the ports of persistence, balance and usage.
///
/// Clones share one client. Several stores, in this or other processes, may be open on one
/// database, LibreChat among them.
#[derive(Clone)]
pub struct MongoStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    database: Database,
    topology: Topology,
    object_ids: ObjectIds,
    heard: Heard,
    books: Books,
    conversations: Lanes,
    operations: Semaphore,
    operations_max: u32,
    read_timeout: Duration,
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore")
            .field("database", &self.inner.database.name())
            .field("topology", &self.inner.topology)
            .finish_non_exhaustive()
    }
}

impl MongoStore {
    /// The store over a database that is ready.
    pub(crate) fn over(connected: Connected, config: &MongoConfig) -> Self {
        let operations_max = config.operations_max.max(1);
        let inner = Inner {
            client: connected.client,
            database: connected.database,
            topology: connected.topology,
            object_ids: ObjectIds::default(),
            heard: Heard::default(),
            books: Books::default(),
            conversations: Lanes::default(),
            operations: Semaphore::new(usize::try_from(operations_max).unwrap_or(1)),
            operations_max,
            read_timeout: Duration::from_millis(u64::from(config.read_timeout_ms)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether the server has transactions: false on a standalone one, where each operation writes
    /// its documents in order and the ledger is refused.
    #[must_use]
    pub fn has_transactions(&self) -> bool {
        self.inner.topology == Topology::Replicated
    }

    /// Waits for the operations under way and closes the connections. Later calls on any handle
    /// answer `Unavailable`. A second call does nothing.
    pub async fn close(&self) {
        let all = self.inner.operations.acquire_many(self.inner.operations_max).await;
        if all.is_ok() {
            self.inner.operations.close();
            self.inner.client.clone().shutdown().await;
        }
    }

    /// Waits until no other turn of this process is accepted or ended in the conversation: both
    /// move its head. None on a server where writes do not abort each other.
    pub(crate) async fn enter_conversation(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
    ) -> Option<Pass> {
        if !self.has_transactions() {
            return None;
        }
        Some(self.inner.conversations.enter([(scope, conversation)]).await)
    }

    pub(crate) fn books(&self) -> &Books {
        &self.inner.books
    }

    /// Runs `work` on `input` as one unit that writes: a transaction where there are some. It may
    /// run several times; a refusal or failure leaves nothing written (on a standalone server:
    /// nothing after the call that failed).
    pub(crate) async fn write<I, T, E, W>(
        &self,
        operation: &'static str,
        input: I,
        work: W,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: PortError,
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T, E>>
            + Send
            + Sync
            + 'static,
    {
        self.run(operation, self.has_transactions(), input, work).await
    }

    /// Runs `work` on `input` as one unit that only reads, outside of a transaction.
    pub(crate) async fn read<I, T, E, W>(
        &self,
        operation: &'static str,
        input: I,
        work: W,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: PortError,
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T, E>>
            + Send
            + Sync
            + 'static,
    {
        self.run(operation, false, input, work).await
    }

    /// Runs `work` on `input` as one unit; without a transaction it reads only, or makes one write.
    pub(crate) async fn run<I, T, E, W>(
        &self,
        operation: &'static str,
        in_transaction: bool,
        input: I,
        work: W,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: PortError,
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T, E>>
            + Send
            + Sync
            + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let answer = in_task(async move {
            let Ok(_slot) = inner.operations.acquire().await else {
                return Err(Stop::Failed(Failure::closed()));
            };
            inner.repeated(operation, in_transaction, &input, &work).await
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Stop::Refused(refusal))) => Err(refusal),
            Ok(Err(Stop::Failed(failure))) | Err(failure) => Err(E::of(failure, operation)),
        }
    }
}

impl Inner {
    async fn repeated<I, T, E, W>(
        &self,
        operation: &'static str,
        in_transaction: bool,
        input: &I,
        work: &W,
    ) -> Outcome<T, E>
    where
        I: Sync,
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T, E>> + Sync,
    {
        let mut repeats = 0;
        loop {
            let failure = match self.once(in_transaction, repeats > 0, input, work).await {
                Err(Stop::Failed(failure)) if repeats < failure.repeats_max() => failure,
                answer => return answer,
            };
            tracing::debug!(operation, repeats, kind = ?failure.kind, "runs again");
            pause(repeats).await;
            repeats += 1;
        }
    }

    async fn once<I, T, E, W>(
        &self,
        in_transaction: bool,
        is_repeat: bool,
        input: &I,
        work: &W,
    ) -> Outcome<T, E>
    where
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T, E>>,
    {
        let mut unit = Unit {
            database: &self.database,
            object_ids: &self.object_ids,
            session: self.session(in_transaction).await?,
            in_transaction,
            read_timeout: self.read_timeout,
            is_repeat,
        };
        let answer = work(&mut unit, input).await;
        let Some(mut session) = unit.session else {
            return answer;
        };
        if !in_transaction || answer.is_ok() {
            if in_transaction {
                commit(&mut session).await?;
            }
            self.heard.hear(&session);
        } else if let Err(error) = session.abort_transaction().await {
            tracing::debug!(%error, "a transaction was left for the server to abort");
        }
        answer
    }

    /// A session for one unit; none on a standalone server, which has no cluster time.
    ///
    /// A transaction reads what its primary has and commits by a majority: only other reads must be
    /// told how new to be.
    async fn session(&self, in_transaction: bool) -> EngineResult<Option<ClientSession>> {
        if self.topology != Topology::Replicated {
            return Ok(None);
        }
        let mut session = self.client.start_session().await?;
        if !in_transaction {
            self.heard.tell(&mut session);
            return Ok(Some(session));
        }
        let options = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(write_concern())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        session.start_transaction().with_options(options).await?;
        Ok(Some(session))
    }
}

/// Commits; again as long as nobody knows whether it did.
async fn commit(session: &mut ClientSession) -> EngineResult<()> {
    let mut repeats = 0;
    loop {
        let failure = match session.commit_transaction().await {
            Ok(()) => return Ok(()),
            Err(error) => Failure::from(error),
        };
        if !failure.is_unknown_commit() || repeats == COMMITS_MAX {
            return Err(failure);
        }
        pause(repeats).await;
        repeats += 1;
    }
}

/// Waits before try number `repeats + 1`: doubling, any part of it, so that two do not meet again.
async fn pause(repeats: u32) {
    let longest = PAUSE_FIRST_MS.saturating_mul(1_u64 << repeats.min(16)).min(PAUSE_MAX_MS);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
}

/// Runs `work` in a task of its own and waits for it; dropping this future leaves the task alone.
#[expect(clippy::disallowed_methods, reason = "awaited here, and by `close` if the caller is gone")]
pub(crate) async fn in_task<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> EngineResult<T> {
    tokio::spawn(work).await.map_err(|error| {
        tracing::warn!(%error, "an operation ended badly");
        Failure::new(FailureKind::Unavailable, "the operation ended badly")
    })
}
