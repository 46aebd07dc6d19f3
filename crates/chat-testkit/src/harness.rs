//! What a backend hands to a suite: a fresh store and what must outlive it.

use std::any::Any;
use std::sync::Arc;

use chat_persist::{Maintenance, PersistenceAdapter};

/// Both ports of one store.
pub trait Store: PersistenceAdapter + Maintenance {}

impl<S: PersistenceAdapter + Maintenance> Store for S {}

/// A fresh, empty store with the guard of its world.
#[derive(Debug)]
pub struct Harness {
    /// The store, shared as a program would share it. Dropped before the guard.
    pub store: Arc<dyn Store>,
    guard: Option<Box<dyn Any + Send>>,
}

impl Harness {
    /// A store that needs no guard.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, guard: None }
    }

    /// Keeps `guard` (a temporary folder, a server) until the case is over.
    #[must_use]
    pub fn guarded_by(mut self, guard: impl Any + Send) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}
