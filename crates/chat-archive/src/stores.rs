//! The ports that an archive is written from and read into.

use std::sync::Arc;

use chat_balance::{BalanceAdapter, LedgerMaintenance};
use chat_persist::{Maintenance, PersistenceAdapter};
use chat_usage::UsageStore;

/// Everything one installation keeps. The ports may be one store or several.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Conversations, messages, files.
    pub persistence: Arc<dyn PersistenceAdapter>,
    /// Scans and restored turns.
    pub maintenance: Arc<dyn Maintenance>,
    /// The ledger; none where there is no billing.
    pub ledger: Option<LedgerPorts>,
    /// Usage rows.
    pub usage: Arc<dyn UsageStore>,
}

/// Both ports of one ledger.
#[derive(Clone, Debug)]
pub struct LedgerPorts {
    /// Opens accounts.
    pub balance: Arc<dyn BalanceAdapter>,
    /// Scans and restored rows.
    pub maintenance: Arc<dyn LedgerMaintenance>,
}

impl Stores {
    /// One store that keeps all of it.
    pub fn of<S>(store: &Arc<S>) -> Self
    where
        S: PersistenceAdapter + Maintenance + BalanceAdapter + LedgerMaintenance + UsageStore,
    {
        Self {
            persistence: Arc::clone(store) as Arc<dyn PersistenceAdapter>,
            maintenance: Arc::clone(store) as Arc<dyn Maintenance>,
            ledger: Some(LedgerPorts {
                balance: Arc::clone(store) as Arc<dyn BalanceAdapter>,
                maintenance: Arc::clone(store) as Arc<dyn LedgerMaintenance>,
            }),
            usage: Arc::clone(store) as Arc<dyn UsageStore>,
        }
    }

    /// The same without the ledger.
    #[must_use]
    pub fn without_ledger(mut self) -> Self {
        self.ledger = None;
        self
    }
}
