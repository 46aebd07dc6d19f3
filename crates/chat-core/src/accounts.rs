//! Who pays for a turn.

use std::fmt;

use chat_balance::{AccountKind, AccountSpec};
use chat_types::{AccountId, InvalidId, Money, Scope};

/// Names the accounts that pay for a user's turns: all of them in full, or the turn is refused.
pub trait AccountPolicy: fmt::Debug + Send + Sync + 'static {
    /// One or more accounts; opened with these values when they are first needed.
    ///
    /// # Errors
    /// `InvalidId` if the scope makes no valid account id.
    fn accounts(&self, scope: &Scope) -> Result<Vec<AccountSpec>, InvalidId>;
}

/// One account per user, all opened alike. Its id is the user's.
#[derive(Clone, Debug)]
pub struct OneAccountPerUser {
    kind: AccountKind,
    opening: Money,
}

impl OneAccountPerUser {
    /// Never refused; holds and entries are written all the same.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { kind: AccountKind::Unlimited, opening: Money::ZERO }
    }

    /// Refused when it is short; opened with `opening`.
    #[must_use]
    pub fn limited(opening: Money) -> Self {
        Self { kind: AccountKind::Limited, opening }
    }
}

impl AccountPolicy for OneAccountPerUser {
    fn accounts(&self, scope: &Scope) -> Result<Vec<AccountSpec>, InvalidId> {
        Ok(vec![AccountSpec {
            id: AccountId::new(scope.user.as_str())?,
            owner: Some(scope.user.clone()),
            kind: self.kind,
            opening: self.opening,
        }])
    }
}
