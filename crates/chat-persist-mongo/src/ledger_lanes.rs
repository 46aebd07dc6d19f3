//! Lanes: writers of one process on one account queue here instead of aborting each other.
//!
//! The server ends one of two transactions that meet on a document, which is right and slow; within
//! a process they need not meet. Lanes are a fixed number, so two accounts may share one: then they
//! wait for each other and nothing else happens. Writers of other processes are met on the server.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use chat_types::{AccountId, TenantId};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Enough that busy accounts seldom share one, little enough to make at every start.
const LANES: u64 = 1_024;

/// The lanes of one store.
pub(crate) struct Lanes {
    lanes: Vec<Arc<Mutex<()>>>,
}

/// The right to write on some accounts; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    _lanes: Vec<OwnedMutexGuard<()>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { lanes: (0..LANES).map(|_| Arc::default()).collect() }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl Lanes {
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
        Pass { _lanes: lanes }
    }
}

fn lane_of(tenant: &TenantId, account: &AccountId) -> usize {
    let mut hasher = DefaultHasher::new();
    (tenant, account).hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES).unwrap_or_default()
}
