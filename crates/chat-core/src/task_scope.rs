//! Who owns the running tasks: shutdown waits for every one of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the tasks it spawned; a clone counts in the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskScope {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    changed: Notify,
}

/// A counted place for one task; uncounted also when the task panics or is aborted.
#[derive(Debug)]
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Running {
    /// Runs `task` in this place; it ends by itself.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one door to spawning; `TaskScope::idle` awaits it"
    )]
    pub(crate) fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            task.await;
            drop(self);
        });
    }
}

impl TaskScope {
    /// A place among at most `tasks_max`, taken before there is a task to run in it.
    pub(crate) fn reserve(&self, tasks_max: usize) -> Option<Running> {
        let one_more = |running: usize| running.checked_add(1).filter(|all| *all <= tasks_max);
        let running = &self.shared.running;
        running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        Some(Running(Arc::clone(&self.shared)))
    }

    /// Runs `task` on its own; it ends by itself.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(&self.shared)).spawn(task);
    }

    /// How many tasks are running.
    pub(crate) fn running(&self) -> usize {
        self.shared.running.load(Ordering::SeqCst)
    }

    /// Returns when no task is running.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.running() == 0 {
                return;
            }
            changed.await;
        }
    }
}
