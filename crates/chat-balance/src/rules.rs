//! The ledger's rules: pure, total, without I/O; every store decides with them.
//!
//! A store loads what [`accounts_of`] or [`accounts_of_hold`] name (locking in that order), calls
//! one rule and writes back what changed, all in one transaction: accounts, the hold, the entries it
//! answers with, in that order, and its notices. A rule that fails has changed nothing, and a hold or
//! an extension that is refused for want of funds leaves [`Notice::of_refusal`]; one that succeeds
//! keeps granted + refunded = available + held + posted + expired.
//! Not here: keys that were used before are found by the store and judged in `repeat`.

mod burn;
mod check;
mod due;
mod low;

use chat_types::{AccountId, Money, Scope, StepKey, Timestamp};

pub(crate) use check::refuse;
use check::{
    check_postings, check_request, find, must_be_open, must_be_there, no_account, not_negative,
    replace, sorted,
};

use crate::record::{in_unit, notice_key};
use crate::{
    Account, AccountKind, AccountSpec, BalanceError, BalanceErrorKind, Credit, CreditKind, Entry,
    EntryKind, Extension, Hold, HoldLeg, HoldRequest, HoldState, LOTS_MAX, LegRequest, Lot, Notice,
    NoticeKind, PRIORITY, Refill, Refusal, Result, Settlement, Side,
};

/// The most accounts of one hold: user, team, key and a few quotas fit; locks stay few.
pub const LEGS_MAX: usize = 16;

/// The key of the grant an account is opened with.
pub const OPENING_KEY: &str = "opening";

/// What the keys of refills begin with.
const REFILL_PREFIX: &str = "refill/";

/// The accounts a hold request needs, sorted: locks taken in this order never deadlock.
#[must_use]
pub fn accounts_of(request: &HoldRequest) -> Vec<AccountId> {
    sorted(request.legs.iter().map(|leg| &leg.account))
}

/// The accounts of a hold, sorted: what extend, settle and release need.
#[must_use]
pub fn accounts_of_hold(hold: &Hold) -> Vec<AccountId> {
    sorted(hold.legs.iter().map(|leg| &leg.account))
}

/// Whether this user finds the account (in the scope's own tenant).
#[must_use]
pub fn is_visible(account: &Account, scope: &Scope) -> bool {
    account.owner.as_ref().is_none_or(|owner| *owner == scope.user)
}

/// A new account and its opening grant, if that is above zero. The period it is opened in counts as
/// filled.
///
/// # Errors
/// `Conflict` if it is to belong to another user; `InvalidAmount` for a negative opening.
pub fn open(scope: &Scope, spec: &AccountSpec, at: Timestamp) -> Result<(Account, Option<Entry>)> {
    if spec.owner.as_ref().is_some_and(|owner| *owner != scope.user) {
        return Err(refuse(BalanceErrorKind::Conflict, "open account", "it is another user's"));
    }
    not_negative("open account", spec.opening)?;
    let mut account = Account::opened(spec);
    account.state.as_of = at;
    account.state.refilled_at = spec.refill.as_ref().map(|refill| refill.period.start(at));
    if spec.opening == Money::ZERO {
        return Ok((account, None));
    }
    let opening = Credit::new(spec.id.clone(), CreditKind::Grant, OPENING_KEY, spec.opening, at);
    let credited = credit(scope, &mut account, &opening)?;
    Ok((account, Some(credited.entry)))
}

/// What a credit appends: what fell due before it, then its own entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// Grants that ran out.
    pub due: Vec<Entry>,
    /// The credit's own.
    pub entry: Entry,
}

impl Credited {
    /// All of them, in the order they are appended.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.due.iter().chain([&self.entry]).cloned().collect()
    }
}

/// Grants, refunds or adjusts.
///
/// # Errors
/// `NotFound` if the account is not this user's; `InvalidAmount` unless it is above zero and fits,
/// if a refund or an adjustment has an expiry or a priority, if a grant has run out already, and for
/// one more lot than [`LOTS_MAX`].
pub fn credit(scope: &Scope, account: &mut Account, credit: &Credit) -> Result<Credited> {
    const OPERATION: &str = "credit";
    if account.id != credit.account || !is_visible(account, scope) {
        return Err(no_account(OPERATION, &credit.account));
    }
    let invalid = |detail: &str| Err(refuse(BalanceErrorKind::InvalidAmount, OPERATION, detail));
    if credit.amount <= Money::ZERO {
        return invalid("it is not above zero");
    }
    let is_lot = credit.priority != PRIORITY || credit.expires_at.is_some();
    if is_lot && credit.kind != CreditKind::Grant {
        return invalid("only a grant has a priority or an expiry");
    }
    if credit.key.starts_with(REFILL_PREFIX) {
        return invalid("keys that begin with refill/ are those of refills");
    }
    if credit.expires_at.is_some_and(|expires_at| expires_at <= credit.at) {
        return invalid("the grant has run out already");
    }
    let mut next = account.clone();
    let due = due::fall_due(scope, &mut next, None, credit.at)?;
    let wallet = Side::Wallet(credit.account.clone());
    let (debit, side) = match credit.kind {
        CreditKind::Grant => {
            next.granted = next.granted.plus(credit.amount)?;
            (Side::Source, wallet)
        }
        CreditKind::Refund => {
            next.refunded = next.refunded.plus(credit.amount)?;
            (Side::Revenue, wallet)
        }
        CreditKind::Adjustment => {
            burn::take(&mut next, credit.amount)?;
            next.posted = next.posted.plus(credit.amount)?;
            (wallet, Side::Revenue)
        }
    };
    if is_lot {
        if next.state.lots.len() >= LOTS_MAX {
            return invalid(
                "the account has as many grants with a priority or an expiry as it can",
            );
        }
        burn::put(
            &mut next.state.lots,
            Lot {
                key: credit.key.clone(),
                amount: credit.amount,
                priority: credit.priority,
                expires_at: credit.expires_at,
                granted_at: credit.at,
            },
        )?;
    }
    next.available()?;
    *account = next;
    let entry = Entry {
        scope: scope.clone(),
        debit,
        credit: side,
        amount: credit.amount,
        kind: credit.kind.entry_kind(),
        reference: credit_reference(&credit.account, &credit.key),
        at: credit.at,
    };
    Ok(Credited { due, entry })
}

/// Brings an account up to date: grants that have run out expire, refills that are due are given.
/// Nothing due appends nothing.
///
/// # Errors
/// `NotFound` if the account is not this user's; `InvalidAmount` if an amount does not fit.
pub fn refresh(
    scope: &Scope,
    account: &mut Account,
    refill: Option<&Refill>,
    at: Timestamp,
) -> Result<Vec<Entry>> {
    if !is_visible(account, scope) {
        return Err(no_account("refresh", &account.id));
    }
    let mut next = account.clone();
    let due = due::fall_due(scope, &mut next, refill, at)?;
    next.available()?;
    *account = next;
    Ok(due)
}

/// What a rule appends, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Lines of the journal.
    pub entries: Vec<Entry>,
    /// What somebody should hear of. One whose key is there already is not written again.
    pub notices: Vec<Notice>,
}

/// Reserves on all accounts or on none; `accounts` holds at least the visible ones of the request.
/// What is due on them by now comes first.
///
/// A limited account gives what it has between floor and amount; a floor of zero is always given.
///
/// # Errors
/// As `BalanceAdapter::hold`.
pub fn place_hold(
    scope: &Scope,
    accounts: &mut [Account],
    request: &HoldRequest,
) -> Result<(Hold, Appended)> {
    const OPERATION: &str = "hold";
    check_request(request)?;
    let ids = accounts_of(request);
    must_be_there(OPERATION, scope, accounts, &ids)?;
    let mut legs = Vec::with_capacity(request.legs.len());
    let mut next = Vec::with_capacity(request.legs.len());
    let mut appended = Appended::default();
    for leg in &request.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        let due = due::fall_due(scope, &mut account, leg.refill.as_ref(), request.at)?;
        appended.entries.extend(due);
        let low = low::judge(&mut account, leg.warn_below)?;
        let notice =
            low.and_then(|low| low.notice(&account, (scope, &request.key), false, request.at));
        appended.notices.extend(notice);
        let amount = offered(OPERATION, &account, leg, request.at)?;
        let lots = burn::take(&mut account, amount)?;
        account.held = account.held.plus(amount)?;
        account.available()?;
        legs.push(HoldLeg {
            account: leg.account.clone(),
            unit: account.unit,
            amount,
            posted: Money::ZERO,
            lots,
            warn_below: leg.warn_below,
            low: low.map(|low| low.left),
        });
        next.push(account);
    }
    replace(accounts, next);
    let hold = Hold {
        scope: scope.clone(),
        key: request.key.clone(),
        state: HoldState::Open,
        legs,
        extended_to: 1,
        opened_at: request.at,
        closed_at: None,
    };
    Ok((hold, appended))
}

/// Reserves more on every leg before another attempt. None: nothing to do, an extension for this
/// attempt or a later one is there.
///
/// # Errors
/// `InsufficientFunds`; `Conflict` if the hold is resolved; `InvalidAmount`.
pub fn extend(
    hold: &mut Hold,
    accounts: &mut [Account],
    extension: &Extension,
) -> Result<Option<Appended>> {
    const OPERATION: &str = "extend";
    not_negative(OPERATION, extension.amount)?;
    must_be_open(OPERATION, hold)?;
    if extension.attempt <= hold.extended_to {
        return Ok(None);
    }
    let mut next_hold = hold.clone();
    let mut next = Vec::with_capacity(hold.legs.len());
    let mut entries = Vec::new();
    for leg in &mut next_hold.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        entries.extend(due::fall_due(&hold.scope, &mut account, None, extension.at)?);
        let extra = in_unit(leg.unit, extension.amount, extension.tokens)?;
        let wanted = LegRequest::exactly(leg.account.clone(), extra);
        let amount = offered(OPERATION, &account, &wanted, extension.at)?;
        for lot in burn::take(&mut account, amount)? {
            burn::put(&mut leg.lots, lot)?;
        }
        account.held = account.held.plus(amount)?;
        account.available()?;
        leg.amount = leg.amount.plus(amount)?;
        next.push(account);
    }
    next_hold.extended_to = extension.attempt;
    replace(accounts, next);
    *hold = next_hold;
    Ok(Some(Appended { entries, notices: Vec::new() }))
}

/// Posts every attempt on every leg and gives the rest back; the entries are appended in order.
///
/// Per leg: one `Usage` entry per attempt, clipped to what is left of the leg, then one `Overrun`
/// entry for the clipped excess if there is any; what comes back of a grant that has run out
/// meanwhile expires. An overrun is noticed, and an account that is low now and was not before.
///
/// # Errors
/// `Conflict` if the hold is resolved; `InvalidAmount` for no postings, a negative amount, attempts
/// out of order or a sum that does not fit; `Corrupt` if an account of the hold is not there.
pub fn settle(
    hold: &mut Hold,
    accounts: &mut [Account],
    settlement: &Settlement,
) -> Result<Appended> {
    const OPERATION: &str = "settle";
    check_postings(&settlement.postings)?;
    must_be_open(OPERATION, hold)?;
    let mut next_hold = hold.clone();
    let mut next = Vec::with_capacity(hold.legs.len());
    let mut appended = Appended::default();
    for leg in &mut next_hold.legs {
        let amounts = settlement
            .postings
            .iter()
            .map(|posting| in_unit(leg.unit, posting.amount, posting.tokens))
            .collect::<Result<Vec<Money>, _>>()?;
        let total = Money::sum(amounts.iter().copied())?;
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        low::rearm(&mut account, leg.warn_below)?;
        account.held = account.held.minus(leg.amount)?;
        let entry = |kind, amount, reference| Entry {
            scope: hold.scope.clone(),
            debit: Side::Wallet(leg.account.clone()),
            credit: Side::Revenue,
            amount,
            kind,
            reference,
            at: settlement.at,
        };
        let mut left = leg.amount;
        for (posting, amount) in settlement.postings.iter().zip(amounts) {
            let amount = amount.min(left);
            left = left.minus(amount)?;
            let reference = usage_reference(&leg.account, &hold.key, posting.attempt);
            appended.entries.push(entry(EntryKind::Usage, amount, reference));
        }
        let covered = leg.amount.minus(left)?;
        let excess = total.minus(covered)?;
        if excess > Money::ZERO {
            let reference = overrun_reference(&leg.account, &hold.key);
            appended.entries.push(entry(EntryKind::Overrun, excess, reference));
            appended.notices.push(Notice {
                scope: hold.scope.clone(),
                key: notice_key(&leg.account, "overrun", &hold.key),
                kind: NoticeKind::Overrun,
                account: leg.account.clone(),
                unit: leg.unit,
                step: hold.key.clone(),
                amount: excess,
                limit: leg.amount,
                at: settlement.at,
            });
        }
        account.posted = account.posted.plus(covered)?;
        let rest = burn::rest_of(leg, covered)?;
        appended.entries.extend(due::give_back(hold, &mut account, rest, settlement.at)?);
        burn::take(&mut account, excess)?;
        account.posted = account.posted.plus(excess)?;
        account.available()?;
        let low = low::judge(&mut account, leg.warn_below)?;
        let from = (&hold.scope, &hold.key);
        let notice = low.and_then(|low| low.notice(&account, from, true, settlement.at));
        appended.notices.extend(notice);
        leg.posted = total;
        next.push(account);
    }
    next_hold.state = HoldState::Posted;
    next_hold.closed_at = Some(settlement.at);
    replace(accounts, next);
    *hold = next_hold;
    Ok(appended)
}

/// Gives everything back; what has run out meanwhile expires.
///
/// # Errors
/// `Conflict` if the hold is resolved; `Corrupt` if an account of the hold is not there.
pub fn release(hold: &mut Hold, accounts: &mut [Account], at: Timestamp) -> Result<Appended> {
    const OPERATION: &str = "release";
    must_be_open(OPERATION, hold)?;
    let mut next = Vec::with_capacity(hold.legs.len());
    let mut entries = Vec::new();
    for leg in &hold.legs {
        let mut account = find(OPERATION, accounts, &leg.account)?.clone();
        account.held = account.held.minus(leg.amount)?;
        entries.extend(due::give_back(hold, &mut account, leg.lots.clone(), at)?);
        next.push(account);
    }
    replace(accounts, next);
    hold.state = HoldState::Released;
    hold.closed_at = Some(at);
    Ok(Appended { entries, notices: Vec::new() })
}

/// The reference of a grant or refund.
#[must_use]
pub fn credit_reference(account: &AccountId, key: &str) -> String {
    format!("{account}/{key}")
}

/// The reference of what ran out of a grant while a step held it.
#[must_use]
pub fn held_reference(account: &AccountId, grant: &str, key: &StepKey) -> String {
    format!("{account}/{grant}/{}/{}", key.turn, key.step)
}

/// The reference of a refill's entry: the period it fills.
#[must_use]
pub fn refill_reference(account: &AccountId, period: Timestamp) -> String {
    format!("{account}/{REFILL_PREFIX}{}", period.unix_ms())
}

/// The reference of an attempt's usage entry.
#[must_use]
pub fn usage_reference(account: &AccountId, key: &StepKey, attempt: u32) -> String {
    format!("{account}/{}/{}/{attempt}", key.turn, key.step)
}

/// The reference of a step's overrun entry.
#[must_use]
pub fn overrun_reference(account: &AccountId, key: &StepKey) -> String {
    format!("{account}/{}/{}", key.turn, key.step)
}

/// What the account gives for a leg.
fn offered(
    operation: &'static str,
    account: &Account,
    leg: &LegRequest,
    at: Timestamp,
) -> Result<Money> {
    let available = account.available()?;
    if account.kind == AccountKind::Unlimited || available >= leg.amount {
        return Ok(leg.amount);
    }
    let offer = available.max(Money::ZERO);
    if offer < leg.floor {
        return Err(BalanceError::refused(
            operation,
            Refusal {
                account: account.id.clone(),
                unit: account.unit,
                need: leg.floor,
                available,
                held: account.held,
                refill_at: leg.refill.as_ref().map(|refill| refill.period.next(at)),
            },
        ));
    }
    Ok(offer.min(leg.amount))
}
