//! Notices: what somebody should hear of, written with the fact itself.

use chat_types::{AccountId, AccountUnit, Money, Scope, StepKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::BalanceError;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoticeKind {
    /// An account has fallen below the threshold of its plan. Once per crossing.
    LowBalance,
    /// A step cost more than was held for it.
    Overrun,
    /// An account could not give what a step needed; nothing was held.
    Refused,
}

impl NoticeKind {
    /// The stored name: `low_balance`, `overrun` or `refused`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowBalance => "low_balance",
            Self::Overrun => "overrun",
            Self::Refused => "refused",
        }
    }

    /// The kind of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::LowBalance, Self::Overrun, Self::Refused]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// Something about one account that somebody should hear of. Kept until it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose step it was.
    pub scope: Scope,
    /// Unique in the tenant: whoever hears it twice knows it by this.
    ///
    /// `ACCOUNT/low/TURN/STEP` for a balance that was low when the step was held and
    /// `ACCOUNT/low/TURN/STEP/end` for one that the step itself made low, `ACCOUNT/overrun/TURN/STEP`,
    /// `ACCOUNT/refused/TURN/STEP`.
    pub key: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// The account.
    pub account: AccountId,
    /// What the account and the amounts count.
    pub unit: AccountUnit,
    /// The step it came from.
    pub step: StepKey,
    /// The balance that is low, open holds included; what exceeded the hold; what was needed.
    pub amount: Money,
    /// What that is measured by: the threshold; what was held; what was available.
    pub limit: Money,
    /// When.
    pub at: Timestamp,
}

impl Notice {
    /// What happened, in one line for people.
    #[must_use]
    pub fn text(&self) -> String {
        let (amount, limit) = (self.unit.show(self.amount), self.unit.show(self.limit));
        let account = &self.account;
        match self.kind {
            NoticeKind::LowBalance => format!("{account} is low: {amount} left, below {limit}"),
            NoticeKind::Overrun => format!("{account}: {amount} more than the {limit} held"),
            NoticeKind::Refused => {
                format!("{account}: refused, {amount} needed and {limit} available")
            }
        }
    }

    /// The notice of a refused hold or extension; none if the error is no refusal for want of
    /// funds. A store writes it alone, before it answers the refusal.
    #[must_use]
    pub fn of_refusal(
        scope: &Scope,
        step: &StepKey,
        error: &BalanceError,
        at: Timestamp,
    ) -> Option<Self> {
        let refusal = error.refusal()?;
        Some(Self {
            scope: scope.clone(),
            key: notice_key(&refusal.account, "refused", step),
            kind: NoticeKind::Refused,
            account: refusal.account.clone(),
            unit: refusal.unit,
            step: step.clone(),
            amount: refusal.need,
            limit: refusal.available,
            at,
        })
    }
}

pub(crate) fn notice_key(account: &AccountId, what: &str, step: &StepKey) -> String {
    format!("{account}/{what}/{}/{}", step.turn, step.step)
}
