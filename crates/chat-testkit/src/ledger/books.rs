//! Builders for ledger values, and the books: what must hold after every operation.

use std::collections::BTreeSet;
use std::fmt::Debug;

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, BalanceErrorKind, Credit, CreditKind, Entry,
    EntryKind, Extension, Hold, HoldLeg, HoldRequest, HoldState, LegRequest, Posting, Settlement,
    Side,
};
use chat_types::{Money, Scope, StepKey, TenantId, Tokens};

use crate::Ledger;
use crate::fixtures::{at, id, scope};

pub(crate) const ALL: u32 = 1_000;

pub(crate) fn money(nano_usd: i64) -> Money {
    Money::from_nano_usd(nano_usd)
}

/// So much more before an attempt.
pub(crate) fn extension(attempt: u32, amount: i64) -> Extension {
    Extension { attempt, amount: money(amount), tokens: Tokens::ZERO, at: at(2_500) }
}

/// An account of `ada`.
pub(crate) fn spec(name: &str, kind: AccountKind, opening: i64) -> AccountSpec {
    let owner = Some(scope().user);
    AccountSpec { owner, opening: money(opening), ..AccountSpec::new(id(name), kind) }
}

/// Opens a limited account of `ada` at 1,000 ms.
pub(crate) async fn open(ledger: &dyn Ledger, name: &str, opening: i64) -> Account {
    let spec = spec(name, AccountKind::Limited, opening);
    ledger.open_account(&scope(), &spec, at(1_000)).await.expect("opens")
}

pub(crate) async fn account(ledger: &dyn Ledger, name: &str) -> Account {
    let account = ledger.account(&scope(), &id(name)).await.expect("reads");
    account.expect("the account is there")
}

pub(crate) async fn available(ledger: &dyn Ledger, name: &str) -> i64 {
    account(ledger, name).await.available().expect("fits").nano_usd()
}

pub(crate) fn credit(kind: CreditKind, key: &str, amount: i64) -> Credit {
    Credit::new(id("main"), kind, key, money(amount), at(1_500))
}

pub(crate) fn key(turn: &str) -> StepKey {
    StepKey { turn: id(turn), step: 1 }
}

pub(crate) fn leg(account: &str, amount: i64, floor: i64) -> LegRequest {
    let (amount, floor) = (money(amount), money(floor));
    LegRequest { account: id(account), amount, floor, refill: None, warn_below: None }
}

/// All or nothing of `amount` on account `main`.
pub(crate) fn request(turn: &str, amount: i64) -> HoldRequest {
    HoldRequest { key: key(turn), legs: vec![leg("main", amount, amount)], at: at(2_000) }
}

pub(crate) async fn hold(ledger: &dyn Ledger, turn: &str, amount: i64) -> Hold {
    ledger.hold(&scope(), &request(turn, amount)).await.expect("holds")
}

/// The hold that `request` makes, as it is at first.
pub(crate) fn opened(request: &HoldRequest) -> Hold {
    let legs = request.legs.iter().map(|leg| HoldLeg {
        account: leg.account.clone(),
        amount: leg.amount,
        posted: Money::ZERO,
        unit: AccountUnit::Usd,
        lots: Vec::new(),
        warn_below: None,
        low: None,
    });
    Hold {
        scope: scope(),
        key: request.key.clone(),
        state: HoldState::Open,
        legs: legs.collect(),
        extended_to: 1,
        opened_at: request.at,
        closed_at: None,
    }
}

pub(crate) fn settlement(turn: &str, amounts: &[i64]) -> Settlement {
    let postings = (1..).zip(amounts).map(|(attempt, amount)| Posting {
        attempt,
        amount: money(*amount),
        tokens: Tokens::ZERO,
    });
    Settlement { key: key(turn), postings: postings.collect(), at: at(3_000) }
}

pub(crate) fn wallet(name: &str) -> Side {
    Side::Wallet(id(name))
}

pub(crate) async fn entries(ledger: &dyn Ledger) -> Vec<Entry> {
    ledger.scan_entries(0, ALL).await.expect("scans")
}

/// Everything there is.
#[derive(Debug, PartialEq)]
pub(crate) struct Books {
    pub(crate) accounts: Vec<(TenantId, Account)>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) async fn books(ledger: &dyn Ledger) -> Books {
    Books {
        accounts: ledger.scan_accounts(None, ALL).await.expect("scans"),
        holds: ledger.scan_holds(None, ALL).await.expect("scans"),
        entries: entries(ledger).await,
    }
}

/// Reads the books and checks them: every total follows from the entries and the open holds, no
/// reference is there twice, and a limited account is short only by its overruns.
pub(crate) async fn checked_books(ledger: &dyn Ledger) -> Books {
    let books = books(ledger).await;
    let mut references = BTreeSet::new();
    for entry in &books.entries {
        let is_new = references.insert((&entry.scope.tenant, entry.kind, &entry.reference));
        assert!(is_new, "{} is there twice", entry.reference);
        assert!(!entry.amount.is_negative(), "{entry:?}");
    }
    for (tenant, account) in &books.accounts {
        check_account(&books, tenant, account);
    }
    books
}

fn check_account(books: &Books, tenant: &TenantId, account: &Account) {
    let sum = |kind: EntryKind| -> i128 {
        let wallet = Side::Wallet(account.id.clone());
        let of_kind = books.entries.iter().filter(|e| e.scope.tenant == *tenant && e.kind == kind);
        let mine = of_kind.filter(|e| e.debit == wallet || e.credit == wallet);
        mine.map(|e| i128::from(e.amount.nano_usd())).sum()
    };
    let open_holds =
        books.holds.iter().filter(|h| h.scope.tenant == *tenant && h.state == HoldState::Open);
    let open_legs = open_holds.flat_map(|h| &h.legs).filter(|leg| leg.account == account.id);
    let held: i128 = open_legs.map(|leg| i128::from(leg.amount.nano_usd())).sum();
    let (overrun, adjusted) = (sum(EntryKind::Overrun), sum(EntryKind::Adjustment));
    let stored = [account.granted, account.refunded, account.held, account.posted, account.expired]
        .map(|total| i128::from(total.nano_usd()));
    let from_rows = [
        sum(EntryKind::Grant),
        sum(EntryKind::Refund),
        held,
        sum(EntryKind::Usage) + overrun + adjusted,
        sum(EntryKind::Expiry),
    ];
    assert_eq!(stored, from_rows, "the totals of {} do not follow from its rows", account.id);
    let available = i128::from(account.available().expect("fits").nano_usd());
    assert!(
        account.kind == AccountKind::Unlimited || available >= -overrun - adjusted,
        "{} was overdrawn to {available} by more than its overruns of {overrun} and adjustments",
        account.id
    );
    let lots = &account.state.lots;
    let in_lots: i128 = lots.iter().map(|lot| i128::from(lot.amount.nano_usd())).sum();
    assert!(lots.is_sorted_by(|one, other| one.burn_order(other).is_lt()), "{lots:?}");
    assert!(
        account.kind == AccountKind::Unlimited || in_lots <= available + overrun + adjusted,
        "{in_lots} are left of grants and {available} is available"
    );
}

/// Checks that a call was refused as `kind`.
#[track_caller]
pub(crate) fn assert_refused<T: Debug>(result: chat_balance::Result<T>, kind: BalanceErrorKind) {
    match result {
        Ok(value) => panic!("expected {kind:?}, but it went through: {value:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// The strangers of `fixtures`, short to import.
pub(crate) fn strangers() -> [Scope; 2] {
    crate::fixtures::strangers()
}
