//! Callers that want the same thing at the same time share one piece of work.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

/// Work that is going on now, by key; nothing is kept once the last caller has its answer.
#[derive(Debug)]
pub(crate) struct Flights<K, T> {
    going_on: Mutex<HashMap<K, Weak<OnceCell<T>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { going_on: Mutex::default() }
    }
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// The answer of `work`, which runs once for all who call with this key meanwhile. If the caller
    /// whose work it is goes away, the next one in line does it instead.
    pub(crate) async fn join<F: Future<Output = T>>(&self, key: K, work: impl FnOnce() -> F) -> T {
        let cell = self.cell(key);
        cell.get_or_init(work).await.clone()
    }

    fn cell(&self, key: K) -> Arc<OnceCell<T>> {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = going_on.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        // As many keys stay as there are callers, plus those that left since the last new one.
        going_on.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(OnceCell::new());
        going_on.insert(key, Arc::downgrade(&cell));
        cell
    }
}
