//! Layers over the ports: the same calls, with something happening before or after them.
//!
//! [`Layered`] passes every call on and tells a [`Layer`] before and after it. [`LostAck`] loses
//! acknowledgements; [`Failpoint`] ends the process. They are for tests; no product code knows
//! them.

mod call;
mod failpoint;
mod ledger;
mod lost_ack;
mod store;
mod usage;

use std::fmt;
use std::sync::Arc;

use chat_balance::{BalanceAdapter, LedgerMaintenance};
use chat_persist::{Maintenance, PersistenceAdapter};
use chat_usage::UsageStore;

use crate::{Ledger, Store};

pub use call::PortCall;
pub use failpoint::{Failpoint, FailpointError, Moment};
pub use lost_ack::LostAck;

/// What happens around the calls of a port. Both methods are called on the caller's task.
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// The call is about to be made.
    fn before(&self, call: PortCall);

    /// The call was answered, well or badly; it has been made `made` times by now.
    fn after(&self, call: PortCall, made: u32) -> After;
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The caller gets it.
    Keep,
    /// It is thrown away and the call made again; `before` is not told a second time.
    LoseAndRepeat,
}

/// The three parts of one backend, as a program would hold them.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Conversations, messages, journal.
    pub store: Arc<dyn Store>,
    /// Accounts, holds, entries.
    pub ledger: Arc<dyn Ledger>,
    /// Usage rows.
    pub usage: Arc<dyn UsageStore>,
}

impl Ports {
    /// A backend that implements all three.
    pub fn of<B: Store + Ledger + UsageStore>(backend: Arc<B>) -> Self {
        Self { store: backend.clone(), ledger: backend.clone(), usage: backend }
    }

    /// The same backend with `layer` around every call of every port.
    #[must_use]
    pub fn with_layer(self, layer: Arc<dyn Layer>) -> Self {
        let Self { store, ledger, usage } = self;
        let layered = Layered {
            store: Arc::clone(&store) as Arc<dyn PersistenceAdapter>,
            maintenance: store,
            ledger: Arc::clone(&ledger) as Arc<dyn BalanceAdapter>,
            ledger_maintenance: ledger,
            usage,
            layer,
        };
        Self::of(Arc::new(layered))
    }
}

/// Implements every port by passing the call on. See the module.
#[derive(Debug)]
pub struct Layered {
    /// Conversations, messages and the journal of one user.
    pub store: Arc<dyn PersistenceAdapter>,
    /// The same over all users.
    pub maintenance: Arc<dyn Maintenance>,
    /// Accounts, holds and entries of one user.
    pub ledger: Arc<dyn BalanceAdapter>,
    /// The same over all users.
    pub ledger_maintenance: Arc<dyn LedgerMaintenance>,
    /// Usage rows.
    pub usage: Arc<dyn UsageStore>,
    /// What happens around the calls.
    pub layer: Arc<dyn Layer>,
}

/// Makes the call between `before` and `after`, again if its answer is to be lost.
macro_rules! layered {
    ($self:ident, $call:ident, $answer:expr) => {{
        $self.layer.before(PortCall::$call);
        let mut made: u32 = 1;
        loop {
            let answer = $answer;
            match $self.layer.after(PortCall::$call, made) {
                After::Keep => return answer,
                After::LoseAndRepeat => made = made.saturating_add(1),
            }
        }
    }};
}
use layered;
