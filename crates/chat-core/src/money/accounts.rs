//! Who pays for a call.

use std::fmt;

use chat_balance::{AccountKind, AccountSpec};
use chat_types::{AccountId, ConversationId, InvalidId, ModelRef, Money, Purpose, Scope};

/// A call that somebody has to pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidCall<'a> {
    /// On whose behalf.
    pub scope: &'a Scope,
    /// The conversation it is made for; none: whatever does not depend on one is asked for.
    pub conversation: Option<&'a ConversationId>,
    /// The model that is asked.
    pub model: &'a ModelRef,
    /// What it is for.
    pub purpose: Purpose,
}

/// Names the accounts that pay for a call: all of them in full, or it is refused. One that counts
/// something else than dollars is a quota.
pub trait AccountPolicy: fmt::Debug + Send + Sync + 'static {
    /// One to sixteen accounts; opened with these values when they are first needed.
    ///
    /// # Errors
    /// `InvalidId` if the call makes no valid account id.
    fn accounts(&self, call: &PaidCall<'_>) -> Result<Vec<AccountSpec>, InvalidId>;
}

/// One account per user, all opened alike. Its id is the user's.
#[derive(Clone, Debug)]
pub struct OneAccountPerUser {
    kind: AccountKind,
    opening: Money,
    warn_below: Option<Money>,
}

impl OneAccountPerUser {
    /// Never refused; holds and entries are written all the same.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { kind: AccountKind::Unlimited, opening: Money::ZERO, warn_below: None }
    }

    /// Refused when it is short; opened with `opening`.
    #[must_use]
    pub fn limited(opening: Money) -> Self {
        Self { kind: AccountKind::Limited, opening, warn_below: None }
    }

    /// Each is low below this.
    #[must_use]
    pub fn warn_below(mut self, threshold: Option<Money>) -> Self {
        self.warn_below = threshold;
        self
    }

    /// The account of a user.
    ///
    /// # Errors
    /// `InvalidId` if the user's id is no account id.
    pub fn account(&self, scope: &Scope) -> Result<AccountSpec, InvalidId> {
        Ok(AccountSpec {
            owner: Some(scope.user.clone()),
            opening: self.opening,
            warn_below: self.warn_below,
            ..AccountSpec::new(AccountId::new(scope.user.as_str())?, self.kind)
        })
    }
}

impl AccountPolicy for OneAccountPerUser {
    fn accounts(&self, call: &PaidCall<'_>) -> Result<Vec<AccountSpec>, InvalidId> {
        Ok(vec![self.account(call.scope)?])
    }
}
