//! Grants burn in order and run out once: random traces against an obvious model.
//!
//! The model keeps every grant as a line of its own and moves it a nano-USD at a time. Ten thousand
//! traces with `CHAT_TEST_FULL`, some hundred else; `CHAT_TEST_SEED` repeats one.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_balance::{
    AccountKind, AccountSpec, BalanceAdapter, Credit, CreditKind, HoldRequest, LedgerAudit,
    LedgerMaintenance, LegRequest, MemoryLedger, PRIORITY, Posting, Settlement,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId, UserId};
use fastrand::Rng;

/// One grant: what is free of it, and what each hold has of it.
#[derive(Debug)]
struct Line {
    priority: u8,
    expires: i64,
    granted: i64,
    key: String,
    free: i64,
    held: Vec<(u32, i64)>,
}

/// Money without priority and expiry, and the grants, in one list.
#[derive(Debug, Default)]
struct Model {
    lines: Vec<Line>,
    debt: i64,
    expired: i64,
    now: i64,
}

const NEVER: i64 = i64::MAX;

impl Model {
    /// Time passes; what is free and over runs out.
    fn pass(&mut self, at: i64) {
        self.now = self.now.max(at);
        for line in self.lines.iter_mut().filter(|line| line.expires <= self.now) {
            self.expired += std::mem::take(&mut line.free);
        }
    }

    fn add(&mut self, line: Line) {
        self.lines.push(line);
        self.lines.sort_by(|one, other| {
            let place = |l: &Line| (l.priority, l.expires, l.granted, l.key.clone());
            place(one).cmp(&place(other))
        });
    }

    fn available(&self) -> i64 {
        self.lines.iter().map(|line| line.free).sum::<i64>() - self.debt
    }

    /// Takes a unit of whatever burns first; what is not there is owed.
    fn take(&mut self, hold: Option<u32>) {
        match self.lines.iter_mut().find(|line| line.free > 0) {
            Some(line) => {
                line.free -= 1;
                line.held.extend(hold.map(|hold| (hold, 1)));
            }
            None => self.debt += 1,
        }
    }

    /// Spends so much of a hold in burn order, and gives the rest back.
    fn resolve(&mut self, hold: u32, mut spent: i64) {
        for line in &mut self.lines {
            for _ in line.held.extract_if(.., |(of, _)| *of == hold) {
                if spent > 0 {
                    spent -= 1;
                } else if line.expires <= self.now {
                    self.expired += 1;
                } else {
                    line.free += 1;
                }
            }
        }
        for _ in 0..spent {
            self.take(None);
        }
    }
}

fn scope() -> Scope {
    Scope::new(TenantId::new("t").unwrap(), UserId::new("u").unwrap())
}

fn main_account() -> AccountId {
    AccountId::new("main").unwrap()
}

fn step(number: u32) -> StepKey {
    StepKey { turn: TurnId::new(format!("turn-{number}")).unwrap(), step: 1 }
}

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

async fn trace(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (ledger, mut model) = (MemoryLedger::new(), Model::default());
    let opening = rng.i64(0..30);
    let spec = AccountSpec {
        opening: nano(opening),
        ..AccountSpec::new(main_account(), AccountKind::Limited)
    };
    ledger.open_account(&scope(), &spec, Timestamp::from_unix_ms(0)).await.unwrap();
    let plain = |free| Line {
        priority: PRIORITY,
        expires: NEVER,
        granted: i64::MIN,
        key: String::new(),
        free,
        held: Vec::new(),
    };
    model.add(plain(opening));
    let mut open: Vec<(u32, i64)> = Vec::new();
    for number in 0..rng.u32(10..80) {
        // Clocks of different processes: mostly forward, sometimes back.
        let at_ms = model.now + rng.i64(-3..6);
        let at = Timestamp::from_unix_ms(at_ms);
        match rng.u32(0..10) {
            0 | 1 => {
                let (amount, priority) = (rng.i64(1..12), rng.choice([99, PRIORITY, 101]).unwrap());
                let expires = rng.bool().then(|| at_ms.max(model.now) + rng.i64(1..25));
                let key = format!("g{number}");
                let mut credit =
                    Credit::new(main_account(), CreditKind::Grant, key.as_str(), nano(amount), at);
                credit.priority = priority;
                credit.expires_at = expires.map(Timestamp::from_unix_ms);
                ledger.credit(&scope(), &credit).await.unwrap();
                model.pass(at_ms);
                if priority == PRIORITY && expires.is_none() {
                    model.add(plain(amount));
                } else {
                    let (expires, granted) = (expires.unwrap_or(NEVER), at_ms);
                    model.add(Line {
                        priority,
                        expires,
                        granted,
                        key,
                        free: amount,
                        held: Vec::new(),
                    });
                }
            }
            2 => {
                let amount = rng.i64(1..6);
                let kind = if rng.bool() { CreditKind::Refund } else { CreditKind::Adjustment };
                let credit =
                    Credit::new(main_account(), kind, format!("c{number}"), nano(amount), at);
                ledger.credit(&scope(), &credit).await.unwrap();
                model.pass(at_ms);
                match kind {
                    CreditKind::Adjustment => (0..amount).for_each(|_| model.take(None)),
                    _ => model.add(plain(amount)),
                }
            }
            3..=6 => {
                let amount = rng.i64(0..15);
                let (account, refill) = (main_account(), None);
                let leg = LegRequest {
                    account,
                    amount: nano(amount),
                    floor: nano(amount),
                    refill,
                    warn_below: None,
                };
                let request = HoldRequest { key: step(number), legs: vec![leg], at };
                let held = ledger.hold(&scope(), &request).await.is_ok();
                let before = (model.expired, model.now);
                let mut seen = Model { now: model.now, ..Model::default() };
                std::mem::swap(&mut seen, &mut model);
                let free: Vec<i64> = seen.lines.iter().map(|line| line.free).collect();
                seen.pass(at_ms);
                settle_debt(&mut seen);
                assert_eq!(held, amount == 0 || seen.available() >= amount, "seed {seed}");
                if held {
                    (0..amount).for_each(|_| seen.take(Some(number)));
                    open.push((number, amount));
                } else {
                    // A refused hold writes nothing, not even what fell due.
                    (seen.expired, seen.now) = before;
                    for (line, free) in seen.lines.iter_mut().zip(free) {
                        line.free = free;
                    }
                }
                model = seen;
            }
            7 | 8 if !open.is_empty() => {
                let (hold, amount) = open.swap_remove(rng.usize(..open.len()));
                let spent = rng.i64(0..=amount + 3);
                let postings =
                    vec![Posting { attempt: 1, amount: nano(spent), tokens: Tokens::ZERO }];
                let settlement = Settlement { key: step(hold), postings, at };
                ledger.settle(&scope(), &settlement).await.unwrap();
                model.now = model.now.max(at_ms);
                model.resolve(hold, spent);
            }
            9 if !open.is_empty() => {
                let (hold, _) = open.swap_remove(rng.usize(..open.len()));
                ledger.release(&scope(), &step(hold), at).await.unwrap();
                model.now = model.now.max(at_ms);
                model.resolve(hold, 0);
            }
            _ => {
                ledger.refresh(&scope(), &main_account(), None, at).await.unwrap();
                model.pass(at_ms);
            }
        }
        settle_debt(&mut model);
        check(seed, &ledger, &model).await;
    }
}

/// What was taken below zero is paid by the plain money that comes.
fn settle_debt(model: &mut Model) {
    for line in model.lines.iter_mut().filter(|line| line.key.is_empty()) {
        let paid = model.debt.min(line.free);
        line.free -= paid;
        model.debt -= paid;
    }
}

async fn check(seed: u64, ledger: &MemoryLedger, model: &Model) {
    let account = ledger.account(&scope(), &main_account()).await.unwrap().unwrap();
    let available = account.available().unwrap();
    assert_eq!(available, nano(model.available()), "seed {seed}: {account:?} {model:?}");
    assert_eq!(account.expired, nano(model.expired), "seed {seed}: {account:?} {model:?}");
    let left: Vec<(String, Money)> =
        account.state.lots.iter().map(|lot| (lot.key.clone(), lot.amount)).collect();
    let lines = model.lines.iter().filter(|line| !line.key.is_empty() && line.free > 0);
    let expected: Vec<(String, Money)> =
        lines.map(|line| (line.key.clone(), nano(line.free))).collect();
    assert_eq!(left, expected, "seed {seed}");
    let mut audit = LedgerAudit::new();
    for (tenant, account) in ledger.scan_accounts(None, 1_000).await.unwrap() {
        audit.account(&tenant, &account);
    }
    for hold in ledger.scan_holds(None, 1_000).await.unwrap() {
        audit.hold(&hold);
    }
    for entry in ledger.scan_entries(0, 1_000).await.unwrap() {
        audit.entry(&entry);
    }
    let report = audit.finish();
    assert!(report.is_sound(), "seed {seed}: {:?}", report.breaks);
}

#[tokio::test]
async fn m7_grants_burn_in_order_and_run_out_once() {
    let seeds = match std::env::var("CHAT_TEST_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) if std::env::var_os("CHAT_TEST_FULL").is_some() => 1..10_001,
        Err(_) => 1..401,
    };
    println!("seeds {} to {} (CHAT_TEST_SEED repeats one)", seeds.start, seeds.end - 1);
    for seed in seeds {
        trace(seed).await;
    }
}
