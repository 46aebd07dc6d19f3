//! Faults by order: which requests fail, and how.

use std::time::Duration;

/// What can be asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `PUT …/accounts/ACCOUNT`
    OpenAccount,
    /// `GET …/accounts/ACCOUNT`
    ReadAccount,
    /// `POST …/accounts/ACCOUNT/refresh`
    Refresh,
    /// `POST …/accounts/ACCOUNT/credits`
    Credit,
    /// `PUT …/holds/TURN/STEP`
    Hold,
    /// `GET …/holds/TURN/STEP`
    ReadHold,
    /// `POST …/holds/TURN/STEP/extend`
    Extend,
    /// `POST …/holds/TURN/STEP/settle`
    Settle,
    /// `POST …/holds/TURN/STEP/release`
    Release,
    /// `GET /v1/open-holds`
    OpenHolds,
    /// `GET /v1/accounts`
    ScanAccounts,
    /// `GET /v1/holds`
    ScanHolds,
    /// `GET /v1/entries`
    ScanEntries,
    /// `POST /v1/restore`
    Restore,
    /// `POST /test/reset`
    Reset,
}

impl Operation {
    /// It changes the books.
    #[must_use]
    pub const fn is_write(self) -> bool {
        match self {
            Self::OpenAccount
            | Self::Refresh
            | Self::Credit
            | Self::Hold
            | Self::Extend
            | Self::Settle
            | Self::Release
            | Self::Restore
            | Self::Reset => true,
            Self::ReadAccount
            | Self::ReadHold
            | Self::OpenHolds
            | Self::ScanAccounts
            | Self::ScanHolds
            | Self::ScanEntries => false,
        }
    }

    /// It is named by an `Idempotency-Key`.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        self.is_write() && !matches!(self, Self::Refresh | Self::Reset)
    }
}

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before any work is done.
    LoseRequest,
    /// The work is done, then the connection is closed without an answer.
    LoseAnswer,
    /// The work is done, the answer comes this much later.
    Delay(Duration),
    /// No work is done; this status, with a body that is none of the contract's.
    Status(u16),
    /// No work is done; a web page with status 200, as a proxy's log-in has.
    Page,
    /// The work is done; the answer is a 200 with this body.
    Body(&'static str),
}

/// Faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    lose_every: Option<u64>,
    writes: u64,
}

#[derive(Debug)]
struct Rule {
    operation: Option<Operation>,
    fault: Fault,
    times: u64,
}

impl Faults {
    pub(super) fn add(&mut self, operation: Option<Operation>, fault: Fault, times: u64) {
        self.rules.push(Rule { operation, fault, times });
    }

    pub(super) fn lose_every(&mut self, every: u64) {
        self.lose_every = Some(every.max(1));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What happens to the request that just came.
    pub(super) fn next(&mut self, operation: Operation) -> Option<Fault> {
        if operation.is_write() {
            self.writes = self.writes.saturating_add(1);
        }
        let meant = |rule: &&mut Rule| {
            rule.times > 0 && rule.operation.is_none_or(|meant| meant == operation)
        };
        if let Some(rule) = self.rules.iter_mut().find(meant) {
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        let is_lost = operation.is_write()
            && self.lose_every.is_some_and(|every| self.writes.is_multiple_of(every));
        is_lost.then_some(Fault::LoseAnswer)
    }
}
