//! Laws of the ledger over random traces, and an auditor that finds what was tampered with.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, AuditReport, BalanceAdapter, Credit,
    CreditKind, Entry, EntryKind, Extension, Hold, HoldRequest, HoldState, LedgerAudit,
    LedgerMaintenance, LegRequest, MemoryLedger, PRIORITY, Posting, Settlement, Side,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId, UserId};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Credit { account: u8, is_refund: bool, key: u8, amount: i64 },
    Hold { turn: u8, legs: Vec<(u8, i64, i64)> },
    Extend { turn: u8, attempt: u32, extra: i64 },
    Settle { turn: u8, postings: Vec<(u32, i64)> },
    Release { turn: u8 },
}

/// Mostly sensible amounts, sometimes senseless or huge ones.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![12 => 0..100_i64, 1 => -3..0_i64, 1 => (i64::MAX - 100)..=i64::MAX]
}

fn op() -> impl Strategy<Value = Op> {
    let legs = prop::collection::vec((0..4_u8, amount(), 0..20_i64), 1..4);
    let postings = prop::collection::vec((1..4_u32, amount()), 0..4);
    prop_oneof![
        2 => (0..4_u8, any::<bool>(), 0..5_u8, amount())
            .prop_map(|(account, is_refund, key, amount)| Op::Credit { account, is_refund, key, amount }),
        4 => (0..12_u8, legs).prop_map(|(turn, legs)| Op::Hold { turn, legs }),
        2 => (0..12_u8, 1..4_u32, amount())
            .prop_map(|(turn, attempt, extra)| Op::Extend { turn, attempt, extra }),
        3 => (0..12_u8, postings).prop_map(|(turn, mut postings)| {
            postings.sort_unstable();
            Op::Settle { turn, postings }
        }),
        1 => (0..12_u8).prop_map(|turn| Op::Release { turn }),
    ]
}

fn scope() -> Scope {
    Scope::new(TenantId::new("t").unwrap(), UserId::new("u").unwrap())
}

fn account_id(account: u8) -> AccountId {
    AccountId::new(format!("a{account}")).unwrap()
}

fn step(turn: u8) -> StepKey {
    StepKey { turn: TurnId::new(format!("turn-{turn}")).unwrap(), step: 1 }
}

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

/// Two limited accounts and an unlimited one; the fourth never exists.
async fn open_ledger() -> MemoryLedger {
    let ledger = MemoryLedger::new();
    for (account, kind, opening) in [
        (0, AccountKind::Limited, 150),
        (1, AccountKind::Limited, 0),
        (2, AccountKind::Unlimited, 0),
    ] {
        let spec = AccountSpec {
            id: account_id(account),
            owner: None,
            kind,
            opening: nano(opening),
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        ledger.open_account(&scope(), &spec, Timestamp::default()).await.unwrap();
    }
    ledger
}

/// Applies an operation; its answer as text, so that repeats can be compared.
async fn apply(ledger: &MemoryLedger, op: &Op, at: Timestamp) -> String {
    match op {
        Op::Credit { account, is_refund, key, amount } => {
            let kind = if *is_refund { CreditKind::Refund } else { CreditKind::Grant };
            let credit = Credit {
                account: account_id(*account),
                kind,
                key: format!("k{key}"),
                amount: nano(*amount),
                at,
                priority: PRIORITY,
                expires_at: None,
            };
            format!("{:?}", ledger.credit(&scope(), &credit).await)
        }
        Op::Hold { turn, legs } => {
            let leg = |(account, amount, floor): &(u8, i64, i64)| LegRequest {
                account: account_id(*account),
                amount: nano(*amount),
                floor: nano(*floor),
                refill: None,
                warn_below: None,
            };
            let legs = legs.iter().map(leg).collect();
            let request = HoldRequest { key: step(*turn), legs, at };
            format!("{:?}", ledger.hold(&scope(), &request).await)
        }
        Op::Extend { turn, attempt, extra } => {
            let (attempt, amount) = (*attempt, nano(*extra));
            let extension = Extension { attempt, amount, tokens: Tokens::ZERO, at };
            let hold = ledger.extend(&scope(), &step(*turn), &extension).await;
            format!("{hold:?}")
        }
        Op::Settle { turn, postings } => {
            let posting = |(attempt, amount): &(u32, i64)| Posting {
                attempt: *attempt,
                amount: nano(*amount),
                tokens: Tokens::ZERO,
            };
            let postings = postings.iter().map(posting).collect();
            let settlement = Settlement { key: step(*turn), postings, at };
            format!("{:?}", ledger.settle(&scope(), &settlement).await)
        }
        Op::Release { turn } => format!("{:?}", ledger.release(&scope(), &step(*turn), at).await),
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Rows {
    accounts: Vec<(TenantId, Account)>,
    holds: Vec<Hold>,
    entries: Vec<Entry>,
}

async fn rows_of(ledger: &MemoryLedger) -> Rows {
    Rows {
        accounts: ledger.scan_accounts(None, 1_000).await.unwrap(),
        holds: ledger.scan_holds(None, 1_000).await.unwrap(),
        entries: ledger.scan_entries(0, 10_000).await.unwrap(),
    }
}

/// Entries before accounts and holds last: the order between kinds must not matter.
fn audit(rows: &Rows) -> AuditReport {
    let mut audit = LedgerAudit::new();
    rows.entries.iter().rev().for_each(|entry| audit.entry(entry));
    rows.accounts.iter().for_each(|(tenant, account)| audit.account(tenant, account));
    rows.holds.iter().for_each(|hold| audit.hold(hold));
    audit.finish()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn any_trace_keeps_every_invariant_and_repeats_change_nothing(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        block_on(async {
            let ledger = open_ledger().await;
            for (at, op) in ops.iter().enumerate() {
                let at = Timestamp::from_unix_ms(i64::try_from(at).unwrap());
                let first = apply(&ledger, op, at).await;
                let rows = rows_of(&ledger).await;
                let report = audit(&rows);
                prop_assert!(report.is_sound(), "after {op:?}: {:?}", report.breaks);
                let second = apply(&ledger, op, at.plus_ms(1_000)).await;
                if first.starts_with("Ok") {
                    prop_assert_eq!(first, second);
                }
                prop_assert_eq!(rows, rows_of(&ledger).await, "repeated {:?}", op);
            }
            Ok(())
        })?;
    }

    #[test]
    fn limited_accounts_never_go_below_zero_without_an_overrun(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        block_on(async {
            let ledger = open_ledger().await;
            for op in &ops {
                apply(&ledger, op, Timestamp::default()).await;
            }
            let rows = rows_of(&ledger).await;
            for (_, account) in &rows.accounts {
                let wallet = Side::Wallet(account.id.clone());
                let overruns = rows.entries.iter().filter(|entry| {
                    entry.kind == EntryKind::Overrun && entry.debit == wallet
                });
                let overrun = Money::sum(overruns.map(|entry| entry.amount)).unwrap();
                let least = Money::ZERO.minus(overrun).unwrap();
                prop_assert!(
                    account.kind == AccountKind::Unlimited || account.available().unwrap() >= least
                );
            }
            Ok(())
        })?;
    }
}

/// A ledger with one of everything: an open, a posted (overrun) and a released hold, a refund.
fn sample() -> Rows {
    block_on(async {
        let ledger = open_ledger().await;
        for op in [
            Op::Credit { account: 1, is_refund: true, key: 1, amount: 50 },
            Op::Hold { turn: 1, legs: vec![(0, 10, 10), (1, 10, 10)] },
            Op::Hold { turn: 2, legs: vec![(0, 10, 10)] },
            Op::Hold { turn: 3, legs: vec![(0, 10, 10)] },
            Op::Settle { turn: 1, postings: vec![(1, 7), (2, 7)] },
            Op::Release { turn: 2 },
        ] {
            let answer = apply(&ledger, &op, Timestamp::from_unix_ms(1)).await;
            assert!(answer.starts_with("Ok"), "{answer}");
        }
        rows_of(&ledger).await
    })
}

#[test]
fn an_audit_counts_what_it_saw() {
    let report = audit(&sample());
    let expected = AuditReport {
        accounts: 3,
        holds_open: 1,
        holds_closed: 2,
        entries: 8,
        overruns: 2,
        ..AuditReport::default()
    };
    assert_eq!(report, expected);
}

#[test]
fn an_audit_names_the_row_that_was_tampered_with() {
    type Tamper = fn(&mut Rows);
    let cases: &[(&str, &str, Tamper)] = &[
        ("I9", "account t/a0", |rows| {
            rows.accounts[0].1.granted = nano(151);
        }),
        ("I9", "account t/a1", |rows| {
            rows.accounts[1].1.refunded = nano(49);
        }),
        ("I9", "account t/a0", |rows| {
            rows.accounts[0].1.posted = nano(0);
        }),
        ("I9", "account t/a0", |rows| {
            rows.accounts[0].1.expired = nano(1);
        }),
        ("I9", "account t/a0", |rows| {
            rows.accounts.remove(0);
        }),
        ("I3", "account t/a0", |rows| {
            rows.accounts[0].1.held = nano(9);
        }),
        ("amounts", "account t/a0", |rows| {
            rows.accounts[0].1.held = nano(-9);
        }),
        ("unique account", "account t/a0", |rows| {
            rows.accounts.push(rows.accounts[0].clone());
        }),
        ("I3", "account t/a0", |rows| {
            rows.holds.retain(|hold| hold.state != HoldState::Open);
        }),
        ("I4", "hold leg t/a0/turn-1/1", |rows| {
            rows.holds.retain(|hold| hold.state != HoldState::Posted);
        }),
        ("I4", "hold leg t/a0/turn-1/1", |rows| {
            rows.holds[0].state = HoldState::Released;
        }),
        ("I4", "hold t/turn-2/1", |rows| {
            rows.holds[1].state = HoldState::Open;
        }),
        ("I4", "hold leg t/a0/turn-2/1", |rows| {
            rows.holds[1].state = HoldState::Posted;
        }),
        ("I4", "hold leg t/a1/turn-1/1", |rows| {
            rows.holds[0].legs[1].posted = nano(13);
        }),
        ("I2", "hold leg t/a0/turn-1/1", |rows| {
            rows.holds[0].legs[0].amount = nano(12);
        }),
        ("I2", "hold leg t/a0/turn-1/1", |rows| {
            rows.holds[0].legs[0].amount = nano(9);
        }),
        ("unique hold", "hold t/turn-1/1", |rows| {
            rows.holds.push(rows.holds[0].clone());
        }),
        ("unique reference", "entry t/Grant/a0/opening", |rows| {
            rows.entries.push(rows.entries[0].clone());
        }),
        ("I9", "account t/a0", |rows| {
            rows.entries.remove(0);
        }),
        ("amounts", "entry t/Grant/a0/opening", |rows| {
            rows.entries[0].amount = nano(0);
        }),
        ("I1", "entry t/Grant/a0/opening", |rows| {
            rows.entries[0].debit = Side::Revenue;
        }),
        ("I1", "entry t/Usage/a0/turn-1/1/1", |rows| {
            let entry = rows.entries.iter_mut().find(|entry| entry.kind == EntryKind::Usage);
            entry.unwrap().credit = Side::Wallet(account_id(1));
        }),
        ("I1", "entry t/Grant/a1/opening", |rows| {
            rows.entries[0].reference = "a1/opening".to_owned();
        }),
        ("I9", "account t/a1", |rows| {
            rows.entries[0].reference = "a1/opening".to_owned();
            rows.entries[0].credit = Side::Wallet(account_id(1));
        }),
        ("I2", "account t/a0", |rows| {
            // Granted less everywhere: consistent, but nobody explains the overdraft.
            rows.entries[0].amount = nano(1);
            rows.accounts[0].1.granted = nano(1);
        }),
    ];
    for (number, (invariant, row, tamper)) in cases.iter().enumerate() {
        let mut rows = sample();
        tamper(&mut rows);
        let report = audit(&rows);
        let is_named = report
            .breaks
            .iter()
            .any(|found| found.invariant.starts_with(invariant) && found.row == *row);
        assert!(is_named, "case {number} ({invariant}, {row}): {:#?}", report.breaks);
    }
}

#[test]
fn an_audit_keeps_a_hundred_breaks_and_counts_the_rest() {
    let mut rows = sample();
    for _ in 0..150 {
        rows.accounts.push(rows.accounts[2].clone());
    }
    let report = audit(&rows);
    assert_eq!((report.breaks.len(), report.breaks_total), (100, 150));
    let Some(first) = report.breaks.first() else { panic!("no break") };
    assert_eq!(first.to_string(), "account t/a2: unique account: it is there twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn concurrent_holds_never_admit_more_than_there_is(
        legs in prop::collection::vec(
            (0..60_i64, 0..30_i64).prop_map(|(amount, floor)| (amount, floor.min(amount))),
            2..24,
        ),
    ) {
        let ledger = block_on(open_ledger());
        let start = std::sync::Barrier::new(legs.len());
        let admitted: i64 = std::thread::scope(|threads| {
            let holds: Vec<_> = legs
                .iter()
                .zip(0_u8..)
                .map(|(&(amount, floor), turn)| {
                    let (ledger, start) = (&ledger, &start);
                    threads.spawn(move || {
                        let leg = LegRequest {
                            account: account_id(0),
                            amount: nano(amount),
                            floor: nano(floor), refill: None, warn_below: None };
                        let at = Timestamp::default();
                        let request = HoldRequest { key: step(turn), legs: vec![leg], at };
                        start.wait();
                        block_on(ledger.hold(&scope(), &request))
                            .map_or(0, |hold| hold.covered(AccountUnit::Usd).map_or(0, Money::nano_usd))
                    })
                })
                .collect();
            holds.into_iter().map(|hold| hold.join().unwrap()).sum()
        });
        let rows = block_on(rows_of(&ledger));
        let account = &rows.accounts[0].1;
        prop_assert_eq!(account.held, nano(admitted));
        prop_assert!(admitted <= 150);
        let wanted: i64 = legs.iter().map(|(amount, _)| amount).sum();
        prop_assert!(wanted > 150 || admitted == wanted, "enough for all, so all are given");
        let report = audit(&rows);
        prop_assert!(report.is_sound(), "{:?}", report.breaks);
    }
}
