//! Where each operation is asked for, and the key that names it.
//!
//! A key is a function of the operation's own key alone: whoever repeats the operation, in whatever
//! process and at whatever time, sends the same one.

use chat_types::{AccountId, ContentHash, Scope, StepKey, TenantId, Timestamp};

/// What every key is made of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Open,
    Credit,
    Hold,
    Extend,
    Settle,
    Release,
    Restore,
}

impl Write {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Credit => "credit",
            Self::Hold => "hold",
            Self::Extend => "extend",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::Restore => "restore",
        }
    }

    /// The `Idempotency-Key`: the operation and a digest, so that it is short whatever the ids are.
    pub(crate) fn key(self, own: &[&str]) -> String {
        format!("{}-{}", self.as_str(), ContentHash::of(own).as_str())
    }

    /// The key of an operation on a step's hold.
    pub(crate) fn key_of_step(self, scope: &Scope, key: &StepKey, more: &[&str]) -> String {
        let step = key.step.to_string();
        let own = [scope.tenant.as_str(), scope.user.as_str(), key.turn.as_str(), &step];
        self.key(&[&own[..], more].concat())
    }
}

/// Ids need no escaping: they are made of `[A-Za-z0-9:_-]`.
fn scope_path(scope: &Scope) -> String {
    format!("/v1/tenants/{}/users/{}", scope.tenant, scope.user)
}

pub(crate) fn account(scope: &Scope, id: &AccountId) -> String {
    format!("{}/accounts/{id}", scope_path(scope))
}

pub(crate) fn credits(scope: &Scope, id: &AccountId) -> String {
    format!("{}/credits", account(scope, id))
}

pub(crate) fn refresh(scope: &Scope, id: &AccountId) -> String {
    format!("{}/refresh", account(scope, id))
}

pub(crate) fn hold(scope: &Scope, key: &StepKey) -> String {
    format!("{}/holds/{}/{}", scope_path(scope), key.turn, key.step)
}

/// One of `extend`, `settle` and `release`.
pub(crate) fn hold_change(scope: &Scope, key: &StepKey, change: &str) -> String {
    format!("{}/{change}", hold(scope, key))
}

pub(crate) fn open_holds(before: Timestamp, limit: u32) -> String {
    format!("/v1/open-holds?before_unix_ms={}&limit={limit}", before.unix_ms())
}

pub(crate) fn accounts(after: Option<&(TenantId, AccountId)>, limit: u32) -> String {
    let after = after.map_or_else(String::new, |(tenant, id)| {
        format!("&after_tenant={tenant}&after_account={id}")
    });
    format!("/v1/accounts?limit={limit}{after}")
}

pub(crate) fn holds(after: Option<&(TenantId, StepKey)>, limit: u32) -> String {
    let after = after.map_or_else(String::new, |(tenant, key)| {
        format!("&after_tenant={tenant}&after_turn={}&after_step={}", key.turn, key.step)
    });
    format!("/v1/holds?limit={limit}{after}")
}

pub(crate) fn entries(skip: u64, limit: u32) -> String {
    format!("/v1/entries?limit={limit}&skip={skip}")
}

pub(crate) const RESTORE: &str = "/v1/restore";
