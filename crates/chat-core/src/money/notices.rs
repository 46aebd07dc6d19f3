//! Delivers the ledger's notices: in order, at least once, beside the turns.
//!
//! A notice is forgotten only after the sink has it; a crash between the two delivers it again, and
//! so may another process. Turns never wait for it. A sink that fails is left alone for a while,
//! and all notices wait behind the one it did not take.
//! Not here: what is worth a notice (`chat-balance`), how one travels (the sink).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_balance::{LedgerMaintenance, NOTICES_KEPT_MS, NoticeSink};
use chat_types::{TenantId, Timestamp};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

/// Notices read and forgotten at a time: what comes again after a crash.
const BATCH: u32 = 32;

/// The shortest time between two looks: what many turns leave is looked at once.
const PAUSE: Duration = Duration::from_secs(1);

/// How long nothing of this process may leave unlooked at what another one left when it crashed.
const IDLE_PAUSE: Duration = Duration::from_secs(10);

/// The longest wait for a sink that fails: what it misses is not urgent, and it must recover.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an ending process still delivers. What is left then waits for the next one.
const REST_MAX: Duration = Duration::from_secs(5);

/// Where notices go, and when.
#[derive(Debug)]
pub(crate) struct Notices {
    ledger: Arc<dyn LedgerMaintenance>,
    sink: Option<Arc<dyn NoticeSink>>,
    /// Something of this process may have left a notice.
    left: Arc<Notify>,
    /// Held during a round: one at a time in this process.
    round: Mutex<()>,
    /// The process ends: what is left is delivered in a last round.
    is_ending: AtomicBool,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There is nothing left.
    Done,
    /// There may be more.
    More,
    /// The ledger or the sink failed, or the round was over.
    Failed,
}

impl Notices {
    pub(crate) fn new(
        ledger: Arc<dyn LedgerMaintenance>,
        sink: Option<Arc<dyn NoticeSink>>,
    ) -> Self {
        let (left, round, is_ending) = Default::default();
        Self { ledger, sink, left, round, is_ending }
    }

    pub(crate) const fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// The ledger was written to.
    pub(crate) fn may_have_some(&self) {
        self.left.notify_one();
    }

    /// What is left when the process ends, up to the first failure and not for long.
    pub(crate) async fn deliver_rest(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        let until = Instant::now() + REST_MAX;
        while self.deliver(|| Instant::now() >= until).await == Round::More {}
    }

    /// Forgets up to `rows_max` that nobody has taken for too long.
    pub(crate) async fn expire(&self, now: Timestamp, rows_max: u32) {
        match self.ledger.expire_notices(now.plus_ms(-NOTICES_KEPT_MS), rows_max).await {
            Ok(0) => {}
            Ok(expired) => tracing::warn!(expired, "notices were too old and nobody took them"),
            Err(error) => tracing::warn!(code = error.code(), "old notices were not deleted"),
        }
    }

    /// One round; before each delivery it asks whether it is over.
    async fn deliver(&self, is_over: impl Fn() -> bool + Send) -> Round {
        let Some(sink) = &self.sink else {
            return Round::Done;
        };
        let _one_at_a_time = self.round.lock().await;
        let notices = match self.ledger.notices(BATCH).await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::warn!(code = error.code(), "notices were not read");
                return Round::Failed;
            }
        };
        let mut delivered: Vec<(TenantId, String)> = Vec::with_capacity(notices.len());
        for notice in &notices {
            if is_over() {
                break;
            }
            if let Err(error) = sink.deliver(notice).await {
                tracing::warn!(%error, "a notice will be delivered later");
                break;
            }
            delivered.push((notice.scope.tenant.clone(), notice.key.clone()));
        }
        if delivered.is_empty() {
            return if notices.is_empty() { Round::Done } else { Round::Failed };
        }
        if let Err(error) = self.ledger.delivered(&delivered).await {
            tracing::warn!(code = error.code(), "notices will be delivered again");
            return Round::Failed;
        }
        if delivered.len() < notices.len() {
            return Round::Failed;
        }
        let is_full = u32::try_from(notices.len()).unwrap_or(u32::MAX) >= BATCH;
        if is_full { Round::More } else { Round::Done }
    }
}

/// Delivers until the client is gone.
pub(crate) async fn run(notices: Weak<Notices>) {
    let mut failures = 0_u32;
    loop {
        let Some(strong) = notices.upgrade() else {
            return;
        };
        let round = strong.deliver(|| strong.is_ending.load(Ordering::SeqCst)).await;
        failures = if round == Round::Failed { failures.saturating_add(1) } else { 0 };
        match round {
            Round::More => {}
            Round::Failed => {
                drop(strong);
                tokio::time::sleep(pause_after(failures)).await;
            }
            Round::Done => {
                let left = Arc::clone(&strong.left);
                drop(strong);
                tokio::time::sleep(PAUSE).await;
                let _either = tokio::time::timeout(IDLE_PAUSE, left.notified()).await;
            }
        }
    }
}

/// Twice as long after each failure in a row.
fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE)
}
