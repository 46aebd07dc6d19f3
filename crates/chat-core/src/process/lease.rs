//! The process's lease: while it holds, nobody takes its turns over.

use std::sync::atomic::Ordering;

use chat_types::Timestamp;

use crate::Result;
use crate::inner::Inner;
use crate::patience::persistently;

/// The heartbeat comes this many times within a lease: two may be lost.
pub(crate) const BEATS_PER_LEASE: u32 = 3;

/// Where a lease ends that was never taken: a process that only reads writes none.
pub(crate) const NEVER_LEASED: i64 = i64::MIN;

/// Until when nobody else can take this process's turns over.
pub(crate) fn held_until(inner: &Inner) -> Timestamp {
    Timestamp::from_unix_ms(inner.lease_until.load(Ordering::SeqCst))
}

/// Makes sure that a turn accepted now has a living owner. Writes at most once per third of a
/// lease.
pub(crate) async fn ensure_lease(inner: &Inner) -> Result<()> {
    let now = inner.clock.now();
    let lease_ms = i64::from(inner.config.lease_ms);
    let renew_below = lease_ms.saturating_sub(lease_ms / i64::from(BEATS_PER_LEASE));
    let left_ms = inner.lease_until.load(Ordering::SeqCst).saturating_sub(now.unix_ms());
    if left_ms > renew_below {
        return Ok(());
    }
    let lease_until = now.plus_ms(lease_ms);
    persistently(|| inner.maintenance.heartbeat(&inner.owner, lease_until)).await?;
    inner.lease_until.fetch_max(lease_until.unix_ms(), Ordering::SeqCst);
    Ok(())
}
