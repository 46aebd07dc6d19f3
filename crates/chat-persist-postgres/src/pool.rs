//! The connections: as many as allowed, opened when needed, given back only when known to be clean.
//!
//! The driver's own pool asks the server "are you there" before and after each use, two round trips
//! that an operation which is run again anyway does not need. Here a connection that failed, or
//! whose operation ended in a panic, is closed: its socket goes, and the server undoes what was
//! open. When one is lost, the idle ones are as dead and go with it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::PostgresConfig;
use crate::error::{EngineResult, Failure, FailureKind};

pub(crate) struct Pool {
    options: PgConnectOptions,
    connections_max: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    acquire_timeout: Duration,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// The right to one connection; held while an operation is at work.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(config: &PostgresConfig) -> EngineResult<Self> {
        let connections_max = config.connections_max.max(1);
        let places = usize::try_from(connections_max).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self {
            options: config.connect_options()?.disable_statement_logging(),
            connections_max,
            places: Arc::new(Semaphore::new(places)),
            idle: Mutex::new(Vec::new()),
            acquire_timeout: milliseconds(config.acquire_timeout_ms),
            connect_timeout: milliseconds(config.connect_timeout_ms),
            idle_timeout: milliseconds(config.idle_connection_timeout_ms),
        })
    }

    /// Waits in line. If the future is dropped here, nothing has happened.
    pub(crate) async fn place(&self) -> EngineResult<Place> {
        match timeout(self.acquire_timeout, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_closed)) => Err(Failure::closed()),
            Err(_elapsed) => {
                let detail = "all connections to the database server were busy for too long";
                Err(Failure::new(FailureKind::Busy, detail))
            }
        }
    }

    /// A connection for who has a place: an idle one, or a new one.
    pub(crate) async fn connection(&self, _place: &Place) -> EngineResult<PgConnection> {
        let (fresh, stale) = self.take_idle();
        // Closing says goodbye to the server; nobody waits for its answer for long.
        for idle in stale {
            let _ = timeout(self.connect_timeout, idle.connection.close()).await;
        }
        match fresh {
            Some(idle) => Ok(idle.connection),
            None => self.connect().await,
        }
    }

    /// The idle connection that was used last, and those that have lain there for too long.
    fn take_idle(&self) -> (Option<Idle>, Vec<Idle>) {
        let mut idle = self.idle();
        let stale = idle.extract_if(.., |idle| idle.since.elapsed() > self.idle_timeout).collect();
        (idle.pop(), stale)
    }

    pub(crate) fn give_back(&self, connection: PgConnection) {
        self.idle().push(Idle { connection, since: Instant::now() });
    }

    /// Closes the idle connections: the server they lead to is gone.
    pub(crate) fn drop_idle(&self) {
        self.idle().clear();
    }

    /// A new connection to a server that takes writes.
    pub(crate) async fn connect(&self) -> EngineResult<PgConnection> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            let row = sqlx::query("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await?;
            Ok::<_, Failure>((row.try_get::<bool, _>(0)?, connection))
        };
        match timeout(self.connect_timeout, connecting).await {
            Ok(Ok((false, connection))) => Ok(connection),
            Ok(Ok((true, connection))) => {
                drop(connection);
                let detail = "the server takes no writes: it is a replica";
                Err(Failure::lost(detail))
            }
            Ok(Err(failure)) => Err(failure),
            Err(_elapsed) => Err(Failure::lost("the database server did not answer in time")),
        }
    }

    /// Lets nobody in any more, waits for the operations at work and closes their connections.
    pub(crate) async fn close(&self) {
        if let Ok(all) = self.places.acquire_many(self.connections_max).await {
            self.places.close();
            drop(all);
        }
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            let _ = timeout(self.connect_timeout, idle.connection.close()).await;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The driver's options hold the password, and show it.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("connections_max", &self.connections_max)
            .field("idle", &self.idle().len())
            .finish_non_exhaustive()
    }
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}
