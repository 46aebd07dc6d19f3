//! The process as an owner of turns: its lease, its stop flags, its orderly end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base_client::Inner;
use crate::live::StopCause;
use crate::patience::persistently;
use crate::{Result, reaper};

/// The heartbeat comes this many times within a lease: two may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// Makes sure that a turn accepted now has a living owner. Writes at most once per third of a
/// lease.
pub(crate) async fn ensure_lease(inner: &Inner) -> Result<()> {
    let now = inner.clock.now();
    let lease_ms = i64::from(inner.config.lease_ms);
    let renew_below = lease_ms.saturating_sub(lease_ms / i64::from(BEATS_PER_LEASE));
    let left_ms = inner
        .lease_until
        .load(Ordering::SeqCst)
        .saturating_sub(now.unix_ms());
    if left_ms > renew_below {
        return Ok(());
    }
    let lease_until = now.plus_ms(lease_ms);
    persistently(|| inner.maintenance.heartbeat(&inner.owner, lease_until)).await?;
    inner
        .lease_until
        .fetch_max(lease_until.unix_ms(), Ordering::SeqCst);
    Ok(())
}

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
        if tokio::time::Instant::now() >= reap_at {
            reaper::reap(&inner).await;
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
    if tokio::time::timeout(patience, inner.tasks.idle())
        .await
        .is_err()
    {
        let running: Vec<_> = inner.lock_turns().values().cloned().collect();
        for live in running {
            live.request_stop(StopCause::Shutdown);
        }
        inner.give_up_on_store();
        inner.tasks.idle().await;
    }
    reaper::write_settled_marks(inner).await;
    if let Err(error) = inner.maintenance.retire(&inner.owner).await {
        tracing::warn!(
            code = error.code(),
            "the lease was not given back and will lapse"
        );
    }
}
