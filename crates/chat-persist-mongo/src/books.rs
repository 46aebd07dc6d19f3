//! What the ports of money remember between calls.

use chat_types::{AccountId, Scope};

use crate::lanes::{Lanes, Pass};
use crate::ledger_places::Places;

/// Shortcuts: nothing in it is needed to be right.
#[derive(Debug, Default)]
pub(crate) struct Books {
    lanes: Lanes,
    pub(crate) entries: Places,
    pub(crate) usage: Places,
}

impl Books {
    /// Waits until nobody in this process writes on any of the accounts.
    pub(crate) async fn enter(&self, scope: &Scope, accounts: &[AccountId]) -> Pass {
        self.lanes.enter(accounts.iter().map(|account| (&scope.tenant, account))).await
    }
}
