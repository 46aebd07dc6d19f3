//! `LedgerAudit`: proves a ledger from its rows, or names the first row that breaks it.
//!
//! Rows are fed in any order, one at a time, straight from a scan; nothing is trusted, sums are
//! wide enough for any rows. What it keeps is one line per account, hold leg and entry reference,
//! never the rows.
//! Not here: reading the rows (`LedgerMaintenance`), usage rows (`chat-usage`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chat_types::{AccountId, Money, TenantId};

use crate::{Account, AccountKind, Entry, EntryKind, Hold, HoldState, Side};

/// How many breaks are kept by name; the rest are counted. Enough to see a pattern.
const BREAKS_MAX: usize = 100;

/// A row that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBreak {
    /// Which invariant, in a few words.
    pub invariant: &'static str,
    /// Which row: its kind and key.
    pub row: String,
    /// What is stored and what follows from the other rows.
    pub detail: String,
}

impl fmt::Display for AuditBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.row, self.invariant, self.detail)
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Accounts seen.
    pub accounts: u64,
    /// Holds still open.
    pub holds_open: u64,
    /// Holds settled or released.
    pub holds_closed: u64,
    /// Entries seen.
    pub entries: u64,
    /// Entries that are overruns.
    pub overruns: u64,
    /// The first breaks, rows on their own before sums; at most a hundred.
    pub breaks: Vec<AuditBreak>,
    /// All breaks.
    pub breaks_total: u64,
}

impl AuditReport {
    /// Every invariant holds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.breaks_total == 0
    }

    fn break_at(&mut self, invariant: &'static str, row: impl fmt::Display, detail: String) {
        self.breaks_total = self.breaks_total.saturating_add(1);
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(AuditBreak { invariant, row: row.to_string(), detail });
        }
    }
}

/// Collects rows, then judges them. See the module for what it keeps.
#[derive(Debug, Default)]
pub struct LedgerAudit {
    report: AuditReport,
    accounts: BTreeMap<AccountKey, Folded>,
    legs: BTreeMap<LegKey, Leg>,
    holds: BTreeSet<(TenantId, String)>,
    references: BTreeSet<(TenantId, EntryKind, String)>,
    sides: Sides,
}

type AccountKey = (TenantId, AccountId);

/// Tenant, then `ACCOUNT/TURN/STEP`.
type LegKey = (TenantId, String);

/// An account as stored, and what follows from the other rows. Nano-USD.
#[derive(Debug, Default)]
struct Folded {
    stored: Option<Account>,
    granted: i128,
    refunded: i128,
    posted: i128,
    expired: i128,
    overrun: i128,
    adjusted: i128,
    open: i128,
}

#[derive(Debug, Default)]
struct Leg {
    hold: Option<(HoldState, Money, Money)>,
    usage: i128,
    overrun: i128,
    entries: u64,
}

/// What each side gave (above zero) and got (below), all entries together. Nano-USD.
#[derive(Debug, Default)]
struct Sides {
    source: i128,
    wallets: i128,
    revenue: i128,
    expired: i128,
}

impl LedgerAudit {
    /// An audit that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an account.
    pub fn account(&mut self, tenant: &TenantId, account: &Account) {
        self.report.accounts += 1;
        let row = format!("account {tenant}/{}", account.id);
        for (name, total) in [
            ("granted", account.granted),
            ("refunded", account.refunded),
            ("held", account.held),
            ("posted", account.posted),
            ("expired", account.expired),
        ] {
            self.amount(&row, name, total, false);
        }
        let folded = self.accounts.entry((tenant.clone(), account.id.clone())).or_default();
        if folded.stored.replace(account.clone()).is_some() {
            self.report.break_at("unique account", row, "it is there twice".to_owned());
        }
    }

    /// Takes in a hold.
    pub fn hold(&mut self, hold: &Hold) {
        let tenant = &hold.scope.tenant;
        let key = format!("{}/{}", hold.key.turn, hold.key.step);
        let row = format!("hold {tenant}/{key}");
        let is_open = hold.state == HoldState::Open;
        if is_open {
            self.report.holds_open += 1;
        } else {
            self.report.holds_closed += 1;
        }
        if is_open != hold.closed_at.is_none() {
            let detail = format!("it is {:?} and closed at {:?}", hold.state, hold.closed_at);
            self.report.break_at("I4 a hold leaves open once", &row, detail);
        }
        if hold.legs.is_empty() {
            self.report.break_at("I4 a hold leaves open once", &row, "it has no legs".to_owned());
        }
        if !self.holds.insert((tenant.clone(), key.clone())) {
            self.report.break_at("unique hold", &row, "it is there twice".to_owned());
        }
        let mut seen = BTreeSet::new();
        for leg in &hold.legs {
            self.amount(&row, "amount", leg.amount, false);
            self.amount(&row, "posted", leg.posted, false);
            let in_lots: i128 = leg.lots.iter().map(|lot| nano(lot.amount)).sum();
            if in_lots > nano(leg.amount) || leg.lots.iter().any(|lot| nano(lot.amount) <= 0) {
                let detail = format!("{} of {} are from lots", usd(in_lots), leg.amount);
                self.report.break_at("I6 grants left are within the balance", &row, detail);
            }
            if !seen.insert(&leg.account) {
                let detail = format!("account {} is named twice", leg.account);
                self.report.break_at("unique leg", &row, detail);
            }
            if hold.state != HoldState::Posted && leg.posted != Money::ZERO {
                let detail = format!("it is {:?} and {} is posted", hold.state, leg.posted);
                self.report.break_at("I4 a hold leaves open once", &row, detail);
            }
            let folded = self.accounts.entry((tenant.clone(), leg.account.clone())).or_default();
            if is_open {
                folded.open += nano(leg.amount);
            }
            let leg_key = (tenant.clone(), format!("{}/{key}", leg.account));
            let folded = self.legs.entry(leg_key).or_default();
            folded.hold = Some((hold.state, leg.amount, leg.posted));
        }
    }

    /// Takes in an entry.
    pub fn entry(&mut self, entry: &Entry) {
        self.report.entries += 1;
        let tenant = &entry.scope.tenant;
        let row = format!("entry {tenant}/{:?}/{}", entry.kind, entry.reference);
        let must_be_positive = !matches!(entry.kind, EntryKind::Usage);
        self.amount(&row, "amount", entry.amount, must_be_positive);
        let unique = (tenant.clone(), entry.kind, entry.reference.clone());
        if !self.references.insert(unique) {
            self.report.break_at("unique reference", &row, "it is there twice".to_owned());
        }
        let amount = nano(entry.amount);
        self.sides.add(&entry.debit, amount);
        self.sides.add(&entry.credit, -amount);
        let wallet = match (entry.kind, &entry.debit, &entry.credit) {
            (EntryKind::Grant, Side::Source, Side::Wallet(id))
            | (EntryKind::Refund, Side::Revenue, Side::Wallet(id))
            | (
                EntryKind::Usage | EntryKind::Overrun | EntryKind::Adjustment,
                Side::Wallet(id),
                Side::Revenue,
            )
            | (EntryKind::Expiry, Side::Wallet(id), Side::Expired) => id,
            (kind, debit, credit) => {
                let detail = format!("{kind:?} from {debit:?} to {credit:?}");
                self.report.break_at("I1 double entry", &row, detail);
                return;
            }
        };
        let rest = entry.reference.strip_prefix(wallet.as_str());
        if rest.is_none_or(|rest| !rest.starts_with('/')) {
            let detail = format!("the reference does not start with account {wallet}");
            self.report.break_at("I1 double entry", &row, detail);
        }
        let folded = self.accounts.entry((tenant.clone(), wallet.clone())).or_default();
        match entry.kind {
            EntryKind::Grant => folded.granted += amount,
            EntryKind::Refund => folded.refunded += amount,
            EntryKind::Expiry => folded.expired += amount,
            EntryKind::Adjustment => {
                folded.posted += amount;
                folded.adjusted += amount;
            }
            EntryKind::Usage => {
                folded.posted += amount;
                let step = entry.reference.rsplit_once('/').map_or("", |(step, _)| step);
                let leg = self.legs.entry((tenant.clone(), step.to_owned())).or_default();
                leg.usage += amount;
                leg.entries += 1;
            }
            EntryKind::Overrun => {
                self.report.overruns += 1;
                folded.posted += amount;
                folded.overrun += amount;
                let leg = self.legs.entry((tenant.clone(), entry.reference.clone())).or_default();
                leg.overrun += amount;
                leg.entries += 1;
            }
        }
    }

    /// Judges what was taken in.
    #[must_use]
    pub fn finish(mut self) -> AuditReport {
        for ((tenant, step), leg) in &self.legs {
            judge_leg(&mut self.report, &format!("hold leg {tenant}/{step}"), leg);
        }
        let mut wallets = 0;
        for ((tenant, id), folded) in &self.accounts {
            wallets += judge_account(&mut self.report, &format!("account {tenant}/{id}"), folded);
        }
        self.sides.judge(&mut self.report, wallets);
        self.report
    }

    fn amount(&mut self, row: &str, name: &str, amount: Money, must_be_positive: bool) {
        if amount.is_negative() || (must_be_positive && amount == Money::ZERO) {
            let detail = format!("{name} is {amount}");
            self.report.break_at("amounts are not negative", row, detail);
        }
    }
}

fn judge_leg(report: &mut AuditReport, row: &str, leg: &Leg) {
    const INVARIANT: &str = "I4 a hold leaves open once";
    let Some((state, amount, posted)) = leg.hold else {
        let detail = "entries without a hold".to_owned();
        return report.break_at(INVARIANT, row, detail);
    };
    if state == HoldState::Posted {
        if leg.usage + leg.overrun != nano(posted) {
            let sum = usd(leg.usage + leg.overrun);
            report.break_at(INVARIANT, row, format!("posted {posted}, its entries say {sum}"));
        }
        let is_clipped = leg.overrun == 0 || leg.usage == nano(amount);
        if leg.usage > nano(amount) || !is_clipped {
            let (usage, overrun) = (usd(leg.usage), usd(leg.overrun));
            let detail = format!("held {amount}, usage {usage}, overrun {overrun}");
            report.break_at("I2 an overrun is what exceeds its hold", row, detail);
        }
        if leg.entries == 0 {
            report.break_at(INVARIANT, row, "posted without an entry".to_owned());
        }
    } else if leg.entries > 0 {
        report.break_at(INVARIANT, row, format!("it is {state:?} and has {} entries", leg.entries));
    }
}

/// Returns what the account's own totals say is in or out of it.
fn judge_account(report: &mut AuditReport, row: &str, folded: &Folded) -> i128 {
    let Some(account) = &folded.stored else {
        let detail = "entries or holds name it, it is not there".to_owned();
        report.break_at("I9 totals are the fold of the entries", row, detail);
        return 0;
    };
    for (name, stored, fold) in [
        ("granted", account.granted, folded.granted),
        ("refunded", account.refunded, folded.refunded),
        ("posted", account.posted, folded.posted),
        ("expired", account.expired, folded.expired),
    ] {
        if nano(stored) != fold {
            let detail = format!("{name} is {stored}, the entries say {}", usd(fold));
            report.break_at("I9 totals are the fold of the entries", row, detail);
        }
    }
    if nano(account.held) != folded.open {
        let detail = format!("held is {}, its open holds say {}", account.held, usd(folded.open));
        report.break_at("I3 held is the sum of open holds", row, detail);
    }
    let balance = nano(account.granted) + nano(account.refunded)
        - nano(account.posted)
        - nano(account.expired);
    let available = balance - nano(account.held);
    // An adjustment of an estimate is an overrun that was seen late.
    let beyond = folded.overrun + folded.adjusted;
    if account.kind == AccountKind::Limited && available < -beyond {
        let detail = format!("available is {}, its overruns are {}", usd(available), usd(beyond));
        report.break_at("I2 only an overrun goes below zero", row, detail);
    }
    judge_lots(report, row, account, available, beyond);
    let stored_available = account.available().map(nano);
    if stored_available != Ok(available) {
        let detail = "its totals do not fit together".to_owned();
        report.break_at("conservation", row, detail);
    }
    balance
}

/// Grants with a priority or an expiry: in burn order, each once, and within what is available
/// unless something went below zero.
fn judge_lots(
    report: &mut AuditReport,
    row: &str,
    account: &Account,
    available: i128,
    beyond: i128,
) {
    const INVARIANT: &str = "I6 grants left are within the balance";
    let lots = &account.state.lots;
    let is_ordered = lots.is_sorted_by(|one, other| one.burn_order(other).is_lt());
    let keys: BTreeSet<&str> = lots.iter().map(|lot| lot.key.as_str()).collect();
    if !is_ordered || keys.len() != lots.len() || lots.iter().any(|lot| nano(lot.amount) <= 0) {
        let detail = "they are not in burn order, not unique or not above zero".to_owned();
        report.break_at(INVARIANT, row, detail);
    }
    let left: i128 = lots.iter().map(|lot| nano(lot.amount)).sum();
    if account.kind == AccountKind::Limited && left > available + beyond {
        let detail = format!("{} are left of {} available", usd(left), usd(available));
        report.break_at(INVARIANT, row, detail);
    }
}

impl Sides {
    fn add(&mut self, side: &Side, amount: i128) {
        let total = match side {
            Side::Source => &mut self.source,
            Side::Wallet(_) => &mut self.wallets,
            Side::Revenue => &mut self.revenue,
            Side::Expired => &mut self.expired,
        };
        *total += amount;
    }

    /// What left the source is in a wallet, earned or expired; the wallets are as stored.
    fn judge(&self, report: &mut AuditReport, wallets: i128) {
        if self.source != wallets - self.revenue - self.expired {
            let detail = format!(
                "granted {}, in accounts {}, earned {}, expired {}",
                usd(self.source),
                usd(wallets),
                usd(-self.revenue),
                usd(-self.expired)
            );
            report.break_at("I1 double entry", "ledger", detail);
        }
    }
}

fn nano(money: Money) -> i128 {
    i128::from(money.nano_usd())
}

/// A sum for people; one beyond what an account can hold is shown in nano-USD.
fn usd(nano: i128) -> String {
    i64::try_from(nano)
        .map_or_else(|_| format!("{nano} nano-USD"), |nano| Money::from_nano_usd(nano).to_string())
}
