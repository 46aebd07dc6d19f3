//! What the service keeps: the ledger, the keys it has seen, the faults it was told.
//!
//! A key is kept with the fingerprint of its request when the work was done, in one step with it.
//! A refusal is not kept: the same request may succeed later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_runtime::balance::MemoryLedger;
use tokio::sync::Mutex as AsyncMutex;

use super::fault::{Faults, Operation};

/// Requests remembered, the oldest forgotten first: far above what a test looks at.
const RECEIVED_MAX: usize = 4_096;

/// One request, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What was asked.
    pub operation: Operation,
    /// The path, with its query.
    pub path: String,
    /// The `Idempotency-Key`; none for a read.
    pub key: Option<String>,
    /// The body.
    pub body: String,
}

/// The state of a service.
#[derive(Debug)]
pub struct Books {
    pub(super) secret: String,
    ledger: Mutex<MemoryLedger>,
    /// Held while a write works, so that a key and its work are one step.
    pub(super) keys: AsyncMutex<HashMap<String, String>>,
    faults: Mutex<Faults>,
    received: Mutex<VecDeque<Received>>,
}

impl Books {
    /// Empty books behind this secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            ledger: Mutex::default(),
            keys: AsyncMutex::default(),
            faults: Mutex::default(),
            received: Mutex::default(),
        }
    }

    pub(super) fn ledger(&self) -> MemoryLedger {
        locked(&self.ledger).clone()
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        locked(&self.received).iter().cloned().collect()
    }

    pub(super) fn remember(&self, received: Received) {
        let mut all = locked(&self.received);
        if all.len() >= RECEIVED_MAX {
            all.pop_front();
        }
        all.push_back(received);
    }

    /// Empty books again, and no faults.
    pub(super) fn reset(&self) {
        *locked(&self.ledger) = MemoryLedger::new();
        self.faults().clear();
        locked(&self.received).clear();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
