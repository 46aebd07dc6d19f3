//! A turn that runs in this process: its feed, its stop signal, its end.

use std::sync::Arc;

use chat_types::{Scope, TurnId};
use tokio::sync::watch;

use crate::events::feed::Feed;

/// Who wants the turn to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// A user.
    User,
    /// The process is ending.
    Shutdown,
}

/// Shared by the turn's task, its readers and whoever stops it.
#[derive(Debug)]
pub(crate) struct LiveTurn {
    /// Whose turn it is: nobody else may read its feed.
    pub(crate) scope: Scope,
    pub(crate) feed: Feed,
    stop: watch::Sender<Option<StopCause>>,
    settled: watch::Sender<bool>,
}

impl LiveTurn {
    pub(crate) fn new(scope: Scope, turn: TurnId, epoch: u64, last_seq: u64) -> Arc<Self> {
        let feed = Feed::new(turn, epoch, last_seq);
        let stop = watch::Sender::new(None);
        Arc::new(Self { scope, feed, stop, settled: watch::Sender::new(false) })
    }

    /// Asks the turn's task to stop; the first cause counts.
    pub(crate) fn request_stop(&self, cause: StopCause) {
        self.stop.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(cause);
            }
            first
        });
    }

    /// Whether somebody asked already.
    pub(crate) fn stop_requested(&self) -> Option<StopCause> {
        *self.stop.borrow()
    }

    /// Returns when somebody asks.
    pub(crate) async fn stopped(&self) -> StopCause {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await.map(|cause| *cause) {
            Ok(Some(cause)) => cause,
            _ => std::future::pending().await,
        }
    }

    /// The task is done with the ledger too.
    pub(crate) fn mark_settled(&self) {
        self.settled.send_replace(true);
    }

    /// Returns when the task is done with the ledger too.
    pub(crate) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let _sender_is_self = settled.wait_for(|done| *done).await;
    }
}
