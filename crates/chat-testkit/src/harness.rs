//! What a backend hands to a suite: a fresh store and what must outlive it.

use std::any::Any;
use std::sync::Arc;

use chat_balance::{BalanceAdapter, LedgerMaintenance};
use chat_persist::{Maintenance, PersistenceAdapter};
use chat_rag::RagIndex;
use chat_usage::UsageStore;

/// Both ports of one store of conversations.
pub trait Store: PersistenceAdapter + Maintenance {}

impl<S: PersistenceAdapter + Maintenance> Store for S {}

/// Both ports of one ledger.
pub trait Ledger: BalanceAdapter + LedgerMaintenance {}

impl<L: BalanceAdapter + LedgerMaintenance> Ledger for L {}

macro_rules! harness {
    ($(#[$doc:meta])* $name:ident, $port:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            /// The backend, shared as a program would share it. Dropped before the guard.
            pub port: Arc<$port>,
            guard: Option<Box<dyn Any + Send>>,
        }

        impl $name {
            /// A backend that needs no guard.
            #[must_use]
            pub fn new(port: Arc<$port>) -> Self {
                Self { port, guard: None }
            }

            /// Keeps `guard` (a temporary folder, a server) until the case is over.
            #[must_use]
            pub fn guarded_by(mut self, guard: impl Any + Send) -> Self {
                self.guard = Some(Box::new(guard));
                self
            }
        }
    };
}

harness! {
    /// A fresh, empty store for [`persistence_suite!`](crate::persistence_suite).
    Harness, dyn Store
}

harness! {
    /// A fresh, empty ledger for [`ledger_suite!`](crate::ledger_suite).
    LedgerHarness, dyn Ledger
}

harness! {
    /// A fresh, empty store of usage rows for [`usage_suite!`](crate::usage_suite).
    UsageHarness, dyn UsageStore
}

harness! {
    /// A fresh, empty index of documents for [`rag_suite!`](crate::rag_suite).
    RagHarness, dyn RagIndex
}
