//! The process as an owner of turns: its lease, its stop flags, its orderly end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::Recovered;
use crate::events::live::StopCause;
use crate::inner::Inner;
use crate::process::lease::{BEATS_PER_LEASE, NEVER_LEASED, ensure_lease};
use crate::process::reaper;

/// The one task per process that keeps the lease, reads stop flags and sweeps up. Ends when the
/// client is gone.
pub(crate) async fn run(inner: Weak<Inner>) {
    let Some((tick, lease)) = inner.upgrade().map(|inner| {
        let beat_ms = inner.config.lease_ms / BEATS_PER_LEASE;
        let tick_ms = inner.config.stop_poll_ms.min(beat_ms).max(1);
        let lease = Duration::from_millis(inner.config.lease_ms.into());
        (Duration::from_millis(tick_ms.into()), lease)
    }) else {
        return;
    };
    let mut reap_at = tokio::time::Instant::now() + lease;
    loop {
        tokio::time::sleep(tick).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if !inner.lock_turns().is_empty() {
            keep_turns(&inner).await;
        }
        if inner.recovers && tokio::time::Instant::now() >= reap_at {
            sweep_up(&inner).await;
            reap_at = tokio::time::Instant::now() + lease;
        }
    }
}

async fn keep_turns(inner: &Arc<Inner>) {
    if let Err(error) = ensure_lease(inner).await {
        tracing::warn!(code = error.code(), "the lease was not renewed");
    }
    match inner.maintenance.stop_flags(&inner.owner).await {
        Ok(turns) => {
            for turn in turns {
                if let Some(live) = inner.live(&turn) {
                    live.request_stop(StopCause::User);
                }
            }
        }
        Err(error) => tracing::warn!(code = error.code(), "stop flags were not read"),
    }
}

/// Ends gracefully; see `BaseClient::drain`. A second call waits for the same end.
pub(crate) async fn drain(inner: &Arc<Inner>) {
    let patience = Duration::from_millis(inner.config.drain_ms.into());
    inner.refuse_turns();
    if tokio::time::timeout(patience, inner.tasks.idle()).await.is_err() {
        let running: Vec<_> = inner.lock_turns().values().cloned().collect();
        for live in running {
            live.request_stop(StopCause::Shutdown);
        }
        inner.give_up_on_store();
        inner.tasks.idle().await;
    }
    reaper::write_settled_marks(inner).await;
    inner.notices.deliver_rest().await;
    if inner.lease_until.load(Ordering::SeqCst) == NEVER_LEASED {
        return;
    }
    if let Err(error) = inner.maintenance.retire(&inner.owner).await {
        tracing::warn!(code = error.code(), "the lease was not given back and will lapse");
    }
}

/// One sweep. Whatever fails is found again by the next one.
async fn sweep_up(inner: &Arc<Inner>) {
    reaper::write_settled_marks(inner).await;
    match crate::process::recovery::recover(inner).await {
        Ok(recovered) if recovered != Recovered::default() => {
            tracing::info!(?recovered, "unfinished business was put right");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(code = error.code(), "recovery will be tried again"),
    }
    let now = inner.clock.now();
    let logs_before = now.plus_ms(-i64::from(inner.config.event_log_ttl_ms));
    if let Err(error) = inner.maintenance.sweep(now, logs_before, reaper::ROWS_PER_SWEEP).await {
        tracing::warn!(code = error.code(), "expired rows were not deleted");
    }
    inner.notices.expire(now, reaper::ROWS_PER_SWEEP).await;
}
