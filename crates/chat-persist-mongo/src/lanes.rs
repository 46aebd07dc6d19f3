//! Lanes: writers of one process that would meet on a document queue here.
//!
//! The server ends one of two transactions that meet, which is right and slow; within a process they
//! need not meet. Lanes are a fixed number, so two things may share one: then they wait for each
//! other and nothing else happens. Writers of other processes are met on the server.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Far more than operations run at once, so that two seldom share one; little enough to make at
/// every start.
const LANES: u64 = 1_024;

/// The lanes of one kind of thing: accounts, conversations.
pub(crate) struct Lanes(Vec<Arc<Mutex<()>>>);

/// The right to write on some things; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    _lanes: Vec<OwnedMutexGuard<()>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self((0..LANES).map(|_| Arc::default()).collect())
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl Lanes {
    /// Waits until nobody in this process writes on any of these. Everybody takes lanes in the same
    /// order, so nobody waits in a circle; dropping the future gives all of them back.
    pub(crate) async fn enter<K: Hash>(&self, keys: impl IntoIterator<Item = K>) -> Pass {
        let wanted: BTreeSet<usize> = keys.into_iter().map(|key| lane_of(&key)).collect();
        let mut lanes = Vec::with_capacity(wanted.len());
        for lane in wanted {
            if let Some(lane) = self.0.get(lane) {
                lanes.push(Arc::clone(lane).lock_owned().await);
            }
        }
        Pass { _lanes: lanes }
    }
}

fn lane_of(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES).unwrap_or_default()
}
