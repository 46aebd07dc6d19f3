//! The store's handle: cheap to clone, all clones share one writer and the readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::SqliteConfig;
use crate::error::EngineResult;
use crate::open;
use crate::readers::{Read, Readers};
use crate::writer::{Counters, Job, Write, Writer, submit};

/// One SQLite file: implements the ports of persistence, balance and usage.
///
/// Dropping the last handle ends the writer once its queue is empty; [`SqliteStore::close`] waits
/// for that. Several stores, in this or other processes, may be open on one file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    queue: mpsc::WeakSender<Box<dyn Job>>,
    // Held by every handle; `close` takes it out of all of them at once.
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: std::sync::Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    readers: Arc<Readers>,
    counters: Arc<Counters>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the file, creating it if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// `Corrupt` if the file is damaged, no database, or another program's; `NewerSchema` if a
    /// newer version wrote it; in both cases it was left untouched. `Unsupported` if the linked
    /// SQLite has known data-loss bugs or the file system cannot do WAL; `Unavailable` if it is
    /// locked or cannot be opened; `Full`.
    pub async fn open(config: SqliteConfig) -> chat_persist::Result<Self> {
        Self::open_engine(&config).await.map_err(|failure| failure.persist("open"))
    }

    #[expect(clippy::disallowed_methods, reason = "the writer's task is awaited by `close`")]
    async fn open_engine(config: &SqliteConfig) -> EngineResult<Self> {
        let opened = open::open(config).await?;
        let counters = Arc::new(Counters::default());
        let (sender, receiver) = mpsc::channel(config.write_queue.max(1));
        let writer = Writer::new(
            opened.writer_options,
            opened.writer,
            config.write_batch_max,
            Arc::clone(&counters),
        );
        let task = tokio::spawn(writer.run(receiver));
        let queue = sender.downgrade();
        let inner = Inner {
            queue: std::sync::Mutex::new(Some(sender)),
            readers: Arc::new(Readers::new(opened.reader_options, config.read_connections)),
            counters,
            writer: Mutex::new(Some(task)),
        };
        Ok(Self { queue, inner: Arc::new(inner) })
    }

    /// Waits for the writes and reads under way, moves the WAL into the file and closes it. Later
    /// calls on any handle answer `Unavailable`. A second call only waits.
    pub async fn close(&self) {
        let sender = {
            let mut queue =
                self.inner.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.take()
        };
        drop(sender);
        self.inner.readers.close().await;
        let mut writer = self.inner.writer.lock().await;
        if let Some(task) = writer.as_mut() {
            if let Err(error) = task.await {
                tracing::warn!(%error, "the writer ended badly");
            }
            *writer = None;
        }
    }

    /// Transactions committed so far: flushes to disk by this store, at most.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.inner.counters.flushes.load(Ordering::Relaxed)
    }

    /// Writes answered so far; several share one flush.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.inner.counters.commands.load(Ordering::Relaxed)
    }

    pub(crate) async fn write<W: Write>(&self, write: W) -> EngineResult<W::Output> {
        let Some(queue) = self.queue.upgrade() else {
            return Err(crate::error::Failure::closed());
        };
        submit(&queue, write).await
    }

    pub(crate) async fn read<R: Read>(&self, read: R) -> EngineResult<R::Output> {
        Arc::clone(&self.inner.readers).run(read).await
    }
}
