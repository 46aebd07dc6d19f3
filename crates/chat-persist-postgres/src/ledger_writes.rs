//! The ledger's writes: look, let the rule decide, write if nothing has changed since.
//!
//! The first try takes no lock and is two round trips, the second of which commits. If another
//! process was faster, a transaction that locks what it looks at follows; nobody can be faster then.

use async_trait::async_trait;
use chat_balance::rules::Appended;
use chat_balance::{
    Account, AccountSpec, BalanceError, BalanceErrorKind, Credit, Entry, Extension, Hold,
    HoldRequest, Notice, Refill, Result, Settlement, repeat_credit, repeat_hold, repeat_open,
    repeat_release, repeat_settle, rules,
};
use chat_types::{AccountId, Scope, StepKey, Timestamp};
use sqlx::PgConnection;

use crate::error::{EngineResult, Failure};
use crate::ledger_lanes::Pass;
use crate::ledger_notices::note;
use crate::ledger_rows::refused;
use crate::ledger_save::{
    Change, HoldWrite, Look, Rows, look_at_account, look_at_hold, save, save_new_account,
};
use crate::runner::Write;
use crate::session::Session;

/// Looks with locks of one write: the first may have missed a hold that came while it waited for
/// the accounts, the second sees it and waits for nobody.
const LOCKED_LOOKS_MAX: u32 = 3;

/// One write by a rule.
#[async_trait]
pub(crate) trait Move: Send + Sync + 'static {
    /// What the port answers.
    type Answer: Send + Sync + 'static;

    /// Reads what the rule needs.
    async fn look(&self, connection: &mut PgConnection, look: Look) -> EngineResult<Rows>;

    /// What was read ahead, for the first try.
    fn ahead(&self) -> Option<Rows> {
        None
    }

    /// What a refusal leaves.
    fn notice(&self, _refusal: &BalanceError) -> Option<Notice> {
        None
    }

    /// Asks the rule. Without a change the answer stands as it is.
    fn decide(&self, rows: Rows) -> Result<(Self::Answer, Option<Change>)>;
}

/// A move, and the right to make it.
pub(crate) struct Moving<M> {
    pub(crate) by: M,
    pub(crate) _pass: Pass,
}

#[async_trait]
impl<M: Move> Write for Moving<M> {
    type Output = Result<M::Answer>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let rows = match self.by.ahead() {
            Some(rows) => rows,
            None => self.by.look(session.alone(), Look::Free).await?,
        };
        match self.by.decide(rows) {
            Ok((answer, None)) => return Ok(Ok(answer)),
            Ok((answer, Some(change))) if save(session.alone(), &change).await? => {
                return Ok(Ok(answer));
            }
            Ok(_) => {}
            Err(refusal) => return self.refuse(session.alone(), refusal).await,
        }
        for _ in 0..LOCKED_LOOKS_MAX {
            let connection = session.begin().await?;
            let rows = self.by.look(connection, Look::Locking).await?;
            match self.by.decide(rows) {
                Ok((answer, None)) => return Ok(Ok(answer)),
                Ok((answer, Some(change))) if save(connection, &change).await? => {
                    return Ok(Ok(answer));
                }
                Ok(_) => {}
                Err(refusal) => return self.refuse(connection, refusal).await,
            }
        }
        Err(Failure::overtaken())
    }
}

impl<M: Move> Moving<M> {
    async fn refuse(
        &self,
        connection: &mut PgConnection,
        refusal: BalanceError,
    ) -> EngineResult<Result<M::Answer>> {
        if let Some(notice) = self.by.notice(&refusal) {
            note(connection, &notice).await?;
        }
        Ok(Err(refusal))
    }
}

/// The accounts before a rule and after it.
fn pairs(before: Vec<Account>, after: Vec<Account>) -> Vec<(Account, Account)> {
    before.into_iter().zip(after).collect()
}

pub(crate) struct OpenAccount {
    pub(crate) scope: Scope,
    pub(crate) spec: AccountSpec,
    pub(crate) at: Timestamp,
    pub(crate) _pass: Pass,
}

#[async_trait]
impl Write for OpenAccount {
    type Output = Result<Account>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let Self { scope, spec, at, .. } = self;
        let tenant = &scope.tenant;
        let connection = session.alone();
        let rows = look_at_account(connection, Look::Free, tenant, &spec.id, None).await?;
        if let Some(existing) = rows.accounts.first() {
            return Ok(repeat_open(scope, existing));
        }
        let (account, opening) = match rules::open(scope, spec, *at) {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if save_new_account(connection, tenant, &account, opening.as_slice()).await? {
            return Ok(Ok(account));
        }
        Err(Failure::overtaken())
    }
}

pub(crate) struct RefreshAccount {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) refill: Option<Refill>,
    pub(crate) at: Timestamp,
}

#[async_trait]
impl Move for RefreshAccount {
    type Answer = Option<Account>;

    async fn look(&self, connection: &mut PgConnection, look: Look) -> EngineResult<Rows> {
        look_at_account(connection, look, &self.scope.tenant, &self.id, None).await
    }

    fn decide(&self, rows: Rows) -> Result<(Option<Account>, Option<Change>)> {
        let before = rows.accounts;
        let visible = before.first().filter(|found| rules::is_visible(found, &self.scope));
        let Some(mut account) = visible.cloned() else {
            return Ok((None, None));
        };
        let entries = rules::refresh(&self.scope, &mut account, self.refill.as_ref(), self.at)?;
        let change = Change {
            scope: self.scope.clone(),
            accounts: pairs(before, vec![account.clone()]),
            hold: HoldWrite::Without,
            appended: Appended { entries, notices: Vec::new() },
        };
        Ok((Some(account), Some(change)))
    }
}

pub(crate) struct GiveCredit {
    pub(crate) scope: Scope,
    pub(crate) credit: Credit,
}

#[async_trait]
impl Move for GiveCredit {
    type Answer = Entry;

    async fn look(&self, connection: &mut PgConnection, look: Look) -> EngineResult<Rows> {
        let Credit { account, kind, key, .. } = &self.credit;
        let reference = rules::credit_reference(account, key);
        let entry = Some((kind.entry_kind(), reference.as_str()));
        look_at_account(connection, look, &self.scope.tenant, account, entry).await
    }

    fn decide(&self, rows: Rows) -> Result<(Entry, Option<Change>)> {
        let before = rows.accounts;
        let visible = before.first().filter(|found| rules::is_visible(found, &self.scope));
        let Some(mut account) = visible.cloned() else {
            return refused(BalanceErrorKind::NotFound, "credit", "no such account");
        };
        if let Some(existing) = &rows.entry {
            return Ok((repeat_credit(existing, &self.credit)?, None));
        }
        let credited = rules::credit(&self.scope, &mut account, &self.credit)?;
        let change = Change {
            scope: self.scope.clone(),
            accounts: pairs(before, vec![account]),
            hold: HoldWrite::Without,
            appended: Appended { entries: credited.entries(), notices: Vec::new() },
        };
        Ok((credited.entry, Some(change)))
    }
}

pub(crate) struct PlaceHold {
    pub(crate) scope: Scope,
    pub(crate) request: HoldRequest,
    pub(crate) wanted: Vec<AccountId>,
}

#[async_trait]
impl Move for PlaceHold {
    type Answer = Hold;

    async fn look(&self, connection: &mut PgConnection, look: Look) -> EngineResult<Rows> {
        let (tenant, key) = (&self.scope.tenant, &self.request.key);
        look_at_hold(connection, look, tenant, key, &self.wanted).await
    }

    fn notice(&self, refusal: &BalanceError) -> Option<Notice> {
        Notice::of_refusal(&self.scope, &self.request.key, refusal, self.request.at)
    }

    fn decide(&self, rows: Rows) -> Result<(Hold, Option<Change>)> {
        if let Some(existing) = &rows.hold {
            return Ok((repeat_hold(&self.scope, existing, &self.request)?, None));
        }
        let mut accounts = rows.accounts.clone();
        let (hold, appended) = rules::place_hold(&self.scope, &mut accounts, &self.request)?;
        let change = Change {
            scope: self.scope.clone(),
            accounts: pairs(rows.accounts, accounts),
            hold: HoldWrite::New(hold.clone()),
            appended,
        };
        Ok((hold, Some(change)))
    }
}

/// What can happen to a hold that is there.
pub(crate) enum HoldMove {
    Extend(Extension),
    Settle(Settlement),
    Release(Timestamp),
}

impl HoldMove {
    pub(crate) const fn operation(&self) -> &'static str {
        match self {
            Self::Extend(_) => "extend",
            Self::Settle(_) => "settle",
            Self::Release(_) => "release",
        }
    }

    /// The answer if it has happened already.
    fn repeat(&self, hold: &Hold) -> Result<Option<Hold>> {
        match self {
            Self::Extend(_) => Ok(None),
            Self::Settle(_) => repeat_settle(hold),
            Self::Release(_) => repeat_release(hold),
        }
    }

    /// What to append; none if there is nothing to change.
    fn apply(&self, hold: &mut Hold, accounts: &mut [Account]) -> Result<Option<Appended>> {
        match self {
            Self::Extend(extension) => rules::extend(hold, accounts, extension),
            Self::Settle(settlement) => rules::settle(hold, accounts, settlement).map(Some),
            Self::Release(at) => rules::release(hold, accounts, *at).map(Some),
        }
    }
}

pub(crate) struct MoveHold {
    pub(crate) scope: Scope,
    pub(crate) key: StepKey,
    pub(crate) by: HoldMove,
    /// What was read before the pass, if nobody here has written since.
    pub(crate) ahead: Option<Rows>,
}

#[async_trait]
impl Move for MoveHold {
    type Answer = Hold;

    async fn look(&self, connection: &mut PgConnection, look: Look) -> EngineResult<Rows> {
        look_at_hold(connection, look, &self.scope.tenant, &self.key, &[]).await
    }

    fn ahead(&self) -> Option<Rows> {
        self.ahead.clone()
    }

    fn notice(&self, refusal: &BalanceError) -> Option<Notice> {
        match &self.by {
            HoldMove::Extend(extension) => {
                Notice::of_refusal(&self.scope, &self.key, refusal, extension.at)
            }
            HoldMove::Settle(_) | HoldMove::Release(_) => None,
        }
    }

    fn decide(&self, rows: Rows) -> Result<(Hold, Option<Change>)> {
        let Some(mut hold) = rows.hold.filter(|hold| hold.scope == self.scope) else {
            let detail = "no hold for this step";
            return refused(BalanceErrorKind::NotFound, self.by.operation(), detail);
        };
        if let Some(first) = self.by.repeat(&hold)? {
            return Ok((first, None));
        }
        let extended_to_was = hold.extended_to;
        let mut accounts = rows.accounts.clone();
        let Some(appended) = self.by.apply(&mut hold, &mut accounts)? else {
            return Ok((hold, None));
        };
        let change = Change {
            scope: self.scope.clone(),
            accounts: pairs(rows.accounts, accounts),
            hold: HoldWrite::Changed(hold.clone(), extended_to_was),
            appended,
        };
        Ok((hold, Some(change)))
    }
}
