//! When an account is low: its balance, open holds included, is below the threshold of its plan.
//!
//! One notice per crossing: the account remembers that it was told until it is not low any more.
//! Holding and releasing do not move the balance; settling, expiries and credits do.

use chat_types::{Money, Scope, StepKey, Timestamp};

use crate::record::notice_key;
use crate::{Account, AccountKind, Notice, NoticeKind, Result};

/// What is left in an account that is low.
#[derive(Clone, Copy, Debug)]
pub(super) struct Low {
    pub(super) left: Money,
    threshold: Money,
    is_new: bool,
}

impl Low {
    /// The notice of a crossing while a step was held, or settled; none if it was told before.
    pub(super) fn notice(
        self,
        account: &Account,
        (scope, step): (&Scope, &StepKey),
        is_end: bool,
        at: Timestamp,
    ) -> Option<Notice> {
        let key = notice_key(&account.id, "low", step);
        self.is_new.then(|| Notice {
            scope: scope.clone(),
            // Between the two a credit may have come: then these are two crossings.
            key: if is_end { format!("{key}/end") } else { key },
            kind: NoticeKind::LowBalance,
            account: account.id.clone(),
            unit: account.unit,
            step: step.clone(),
            amount: self.left,
            limit: self.threshold,
            at,
        })
    }
}

/// Judges an account and remembers the judgement. None: it is not low, or nobody wants to know.
pub(super) fn judge(account: &mut Account, warn_below: Option<Money>) -> Result<Option<Low>> {
    let Some(threshold) = warn_below else {
        return Ok(None);
    };
    let left = account.available()?.plus(account.held)?;
    let is_low = account.kind == AccountKind::Limited && left < threshold;
    let is_new = is_low && !account.state.low_told;
    account.state.low_told = is_low;
    Ok(is_low.then_some(Low { left, threshold, is_new }))
}

/// Forgets that an account was told if it has risen since.
pub(super) fn rearm(account: &mut Account, warn_below: Option<Money>) -> Result<()> {
    let was_told = account.state.low_told;
    judge(account, warn_below)?;
    account.state.low_told &= was_told;
    Ok(())
}
