//! Any operations on a ledger, with amounts and moments at which something could wrap: each is done and the books
//! are what the entries say, counted in wide integers, or it is refused and nothing has changed.

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, Credit,
    CreditKind, Entry, EntryKind, Extension, Hold, HoldRequest, HoldState, LedgerAudit,
    LedgerMaintenance, LegRequest, MemoryLedger, Period, PeriodUnit, Posting, Refill, RefillMode,
    Settlement, Side,
};
use chat_types::{AccountId, Money, StepKey, TenantId, Timestamp, Tokens};
use fastrand::Rng;

use super::{amount, count, fuzz, pick};
use crate::bank::{id, key, nano, scope};

/// Enough for the rows of one case.
const ROWS: u32 = 10_000;

#[derive(Clone, Debug)]
enum Operation {
    Open(AccountSpec, Timestamp),
    Refresh(AccountId, Option<Refill>, Timestamp),
    Credit(Credit),
    Hold(HoldRequest),
    Extend(StepKey, Extension),
    Settle(Settlement),
    Release(StepKey, Timestamp),
}

fn account(rng: &mut Rng) -> AccountId {
    id(pick(rng, &["ada", "bob", "team", "nobody"]))
}

fn step(rng: &mut Rng) -> StepKey {
    key(pick(rng, &["t-0", "t-1", "t-2", "t-3", "t-4", "t-5"]))
}

/// Within some years, and now and then at an end of time.
fn moment(rng: &mut Rng) -> Timestamp {
    const CORNERS: [i64; 7] =
        [i64::MIN, i64::MIN + 1, -1, 0, 253_402_300_799_999, i64::MAX - 1, i64::MAX];
    let unix_ms = match rng.u32(..40) {
        0 => pick(rng, &CORNERS),
        1 => rng.i64(..) >> rng.u32(..64),
        _ => rng.i64(0..200_000_000_000),
    };
    Timestamp::from_unix_ms(unix_ms)
}

fn refill(rng: &mut Rng) -> Option<Refill> {
    if rng.u32(..3) > 0 {
        return None;
    }
    let units = [
        PeriodUnit::Minute,
        PeriodUnit::Hour,
        PeriodUnit::Day,
        PeriodUnit::Week,
        PeriodUnit::Month,
    ];
    let zone = pick(rng, &["UTC", "Europe/Berlin", "Pacific/Apia"]);
    let every = pick(rng, &[1, 1, 2, 7, 10_000]);
    Some(Refill {
        mode: pick(rng, &[RefillMode::Add, RefillMode::Reset]),
        amount: nano(amount(rng)),
        period: Period::new(every, pick(rng, &units), zone).unwrap(),
    })
}

fn attempt(rng: &mut Rng, usual: u32) -> u32 {
    if rng.u32(..8) == 0 { pick(rng, &[0, 1, u32::MAX - 1, u32::MAX]) } else { usual }
}

fn open(rng: &mut Rng) -> Operation {
    let units = [AccountUnit::Usd, AccountUnit::Usd, AccountUnit::Requests, AccountUnit::Tokens];
    let spec = AccountSpec {
        unit: pick(rng, &units),
        opening: nano(amount(rng)),
        refill: refill(rng),
        ..AccountSpec::new(
            account(rng),
            pick(rng, &[AccountKind::Limited, AccountKind::Limited, AccountKind::Unlimited]),
        )
    };
    Operation::Open(spec, moment(rng))
}

fn operation(rng: &mut Rng) -> Operation {
    match rng.u32(..20) {
        0..3 => open(rng),
        3..5 => Operation::Refresh(account(rng), refill(rng), moment(rng)),
        5..9 => {
            let kinds =
                [CreditKind::Grant, CreditKind::Grant, CreditKind::Refund, CreditKind::Adjustment];
            let name = pick(rng, &["a", "b", "c", "d", "e", "f"]);
            let credit =
                Credit::new(account(rng), pick(rng, &kinds), name, nano(amount(rng)), moment(rng));
            Operation::Credit(Credit {
                priority: pick(rng, &[0, 99, 100, 101, u8::MAX]),
                expires_at: rng.bool().then(|| moment(rng)),
                ..credit
            })
        }
        9..14 => {
            let leg = |rng: &mut Rng| {
                let amount_most = amount(rng);
                let floor = if rng.bool() { amount_most } else { amount(rng) };
                LegRequest {
                    account: account(rng),
                    amount: nano(amount_most),
                    floor: nano(floor),
                    refill: refill(rng),
                    warn_below: rng.bool().then(|| nano(amount(rng))),
                }
            };
            let legs = (0..rng.u32(1..4)).map(|_| leg(rng)).collect();
            Operation::Hold(HoldRequest { key: step(rng), legs, at: moment(rng) })
        }
        14..16 => {
            let usual = rng.u32(2..4);
            let extension = Extension {
                attempt: attempt(rng, usual),
                amount: nano(amount(rng)),
                tokens: Tokens::new(count(rng)),
                at: moment(rng),
            };
            Operation::Extend(step(rng), extension)
        }
        16..19 => {
            let posting = |rng: &mut Rng, usual: u32| Posting {
                attempt: attempt(rng, usual),
                amount: nano(amount(rng)),
                tokens: Tokens::new(count(rng)),
            };
            let postings = (0..rng.u32(..4)).map(|number| posting(rng, number + 1)).collect();
            Operation::Settle(Settlement { key: step(rng), postings, at: moment(rng) })
        }
        _ => Operation::Release(step(rng), moment(rng)),
    }
}

async fn apply(ledger: &MemoryLedger, operation: &Operation) -> chat_balance::Result<()> {
    let scope = scope();
    match operation.clone() {
        Operation::Open(spec, at) => ledger.open_account(&scope, &spec, at).await.map(drop),
        Operation::Refresh(account, refill, at) => {
            ledger.refresh(&scope, &account, refill.as_ref(), at).await.map(drop)
        }
        Operation::Credit(credit) => ledger.credit(&scope, &credit).await.map(drop),
        Operation::Hold(request) => ledger.hold(&scope, &request).await.map(drop),
        Operation::Extend(key, more) => ledger.extend(&scope, &key, &more).await.map(drop),
        Operation::Settle(settlement) => ledger.settle(&scope, &settlement).await.map(drop),
        Operation::Release(key, at) => ledger.release(&scope, &key, at).await.map(drop),
    }
}

#[derive(Debug, PartialEq)]
struct Books {
    accounts: Vec<(TenantId, Account)>,
    holds: Vec<Hold>,
    entries: Vec<Entry>,
}

impl Books {
    async fn of(ledger: &MemoryLedger) -> Self {
        Self {
            accounts: ledger.scan_accounts(None, ROWS).await.unwrap(),
            holds: ledger.scan_holds(None, ROWS).await.unwrap(),
            entries: ledger.scan_entries(0, ROWS).await.unwrap(),
        }
    }

    fn assert_account(&self, account: &Account) {
        let wallet = Side::Wallet(account.id.clone());
        let sum = |kinds: &[EntryKind]| -> i128 {
            let mine =
                self.entries.iter().filter(|entry| entry.debit == wallet || entry.credit == wallet);
            mine.filter(|entry| kinds.contains(&entry.kind)).map(|entry| wide(entry.amount)).sum()
        };
        let open = self.holds.iter().filter(|hold| hold.state == HoldState::Open);
        let held: i128 = open
            .flat_map(|hold| &hold.legs)
            .filter(|leg| leg.account == account.id)
            .map(|leg| wide(leg.amount))
            .sum();
        let granted = sum(&[EntryKind::Grant]);
        let refunded = sum(&[EntryKind::Refund]);
        let posted = sum(&[EntryKind::Usage, EntryKind::Overrun, EntryKind::Adjustment]);
        let expired = sum(&[EntryKind::Expiry]);
        let told =
            [account.granted, account.refunded, account.held, account.posted, account.expired];
        assert_eq!(told.map(wide), [granted, refunded, held, posted, expired], "{account:?}");
        let available = granted + refunded - held - posted - expired;
        assert_eq!(
            account.available().ok().map(wide),
            i64::try_from(available).ok().map(i128::from)
        );
    }

    fn assert_sound(&self) {
        assert!(self.entries.iter().all(|entry| !entry.amount.is_negative()));
        let mut audit = LedgerAudit::new();
        for (tenant, account) in &self.accounts {
            self.assert_account(account);
            audit.account(tenant, account);
        }
        self.holds.iter().for_each(|hold| audit.hold(hold));
        self.entries.iter().for_each(|entry| audit.entry(entry));
        let report = audit.finish();
        assert!(report.is_sound(), "{:#?}", report.breaks);
    }
}

fn wide(amount: Money) -> i128 {
    i128::from(amount.nano_usd())
}

#[test]
fn m8_fuzz_an_operation_is_booked_to_the_last_digit_or_changes_nothing() {
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let make = |rng: &mut Rng| {
        let opened = (0..3).map(|_| open(rng)).collect::<Vec<_>>();
        let more = (0..rng.u32(5..50)).map(|_| operation(rng)).collect::<Vec<_>>();
        [opened, more].concat()
    };
    let (done, refused) = (std::cell::Cell::new(0_u64), std::cell::Cell::new(0_u64));
    fuzz(make, |operations| {
        threads.block_on(async {
            let ledger = MemoryLedger::new();
            let mut before = Books::of(&ledger).await;
            for operation in operations {
                let outcome = apply(&ledger, operation).await;
                let after = Books::of(&ledger).await;
                match outcome {
                    Ok(()) => {
                        done.set(done.get() + 1);
                        after.assert_sound();
                    }
                    Err(error) => {
                        refused.set(refused.get() + 1);
                        assert_ne!(
                            error.kind(),
                            BalanceErrorKind::Corrupt,
                            "{error} at {operation:?}"
                        );
                        assert_eq!(after, before, "refused with {error}: {operation:?}");
                    }
                }
                before = after;
            }
        });
    });
    println!("{} operations done, {} refused", done.get(), refused.get());
    assert!(done.get() > 0 && refused.get() > 0);
}
