//! Lanes: writers of one process on one account queue here, not on the server.
//!
//! A writer reads, lets the rule decide and writes only if nothing has changed since; two that meet
//! on an account cost each other a transaction with locks. Within a process they need not meet, and
//! they wait without holding a connection. Lanes are a fixed number, so two accounts may share one:
//! then they wait for each other and nothing else happens. Writers of other processes are met on
//! the server.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chat_types::{AccountId, TenantId};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Enough that busy accounts seldom share one, little enough to make at every start.
const LANES: u64 = 1_024;

/// The lanes of one store. Each remembers when somebody last left it.
pub(crate) struct Lanes {
    lanes: Vec<Arc<Mutex<u64>>>,
    moments: Arc<AtomicU64>,
}

/// A point in the order of what this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// The right to write on some accounts; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    lanes: Vec<OwnedMutexGuard<u64>>,
    moments: Arc<AtomicU64>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { lanes: (0..LANES).map(|_| Arc::default()).collect(), moments: Arc::default() }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl Lanes {
    /// To be asked before a look at the rows, for [`Pass::is_free_since`].
    pub(crate) fn now(&self) -> Moment {
        Moment(self.moments.load(Ordering::SeqCst))
    }

    /// Waits until nobody in this process writes on any of the accounts. Everybody takes lanes in
    /// the same order, so nobody waits in a circle; dropping the future gives all of them back.
    pub(crate) async fn enter(&self, tenant: &TenantId, accounts: &[AccountId]) -> Pass {
        let wanted: BTreeSet<usize> =
            accounts.iter().map(|account| lane_of(tenant, account)).collect();
        let mut lanes = Vec::with_capacity(wanted.len());
        for lane in wanted {
            if let Some(lane) = self.lanes.get(lane) {
                lanes.push(Arc::clone(lane).lock_owned().await);
            }
        }
        Pass { lanes, moments: Arc::clone(&self.moments) }
    }
}

impl Pass {
    /// Nobody in this process has written on these accounts since.
    pub(crate) fn is_free_since(&self, moment: Moment) -> bool {
        self.lanes.iter().all(|left| **left <= moment.0)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let now = self.moments.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        for left in &mut self.lanes {
            **left = now;
        }
    }
}

fn lane_of(tenant: &TenantId, account: &AccountId) -> usize {
    let mut hasher = DefaultHasher::new();
    (tenant, account).hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    #[tokio::test]
    async fn a_look_before_another_writer_left_is_stale() {
        let lanes = Lanes::default();
        let (tenant, accounts) = (id::<TenantId>("acme"), [id::<AccountId>("main")]);
        let before = lanes.now();
        drop(lanes.enter(&tenant, &accounts).await);
        let pass = lanes.enter(&tenant, &accounts).await;
        assert!(!pass.is_free_since(before));
        assert!(pass.is_free_since(lanes.now()));
    }
}
