//! M7, as far as the ledger goes today: made-up runs of grants, holds, extensions, postings and refunds end
//! with the balances, holds and entries of a model on paper (`model`), whatever the engine.
//!
//! Not here: that engines answer like each other, call by call (`chat_testkit::traces`); the expiry of grants.

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceErrorKind, CreditKind, Extension, HoldState,
    LegRequest,
};
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, is_full, seed};
use chat_types::{Scope, TenantId, Tokens, UserId};
use fastrand::Rng;

use crate::bank::{Bank, Desk, NOW, credit, hold_request, id, key, nano, settlement};
use crate::model::{Held, Model, Wallet};

const ACCOUNTS: [&str; 4] = ["ada", "team", "house", "nobody"];
const TURNS: [&str; 6] = ["t-1", "t-2", "t-3", "t-4", "t-5", "t-6"];
const STEPS_MAX: usize = 80;

/// One call. Amounts are nano-USD.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open {
        account: String,
        is_unlimited: bool,
        opening: i64,
    },
    Credit {
        account: String,
        kind: &'static str,
        key: String,
        amount: i64,
    },
    /// Account, amount, floor.
    Hold {
        turn: String,
        legs: Vec<(String, i64, i64)>,
    },
    Extend {
        turn: String,
        attempt: u32,
        extra: i64,
    },
    Settle {
        turn: String,
        amounts: Vec<i64>,
    },
    Release {
        turn: String,
    },
}

impl Step {
    fn any(rng: &mut Rng) -> Self {
        let turn = rng.choice(TURNS).unwrap().to_owned();
        let account = rng.choice(ACCOUNTS).unwrap().to_owned();
        match rng.u8(..20) {
            0..3 => Self::Open {
                is_unlimited: account == "house",
                account,
                opening: rng.choice([0, 100, 1_000]).unwrap(),
            },
            3..7 => Self::Credit {
                account,
                kind: rng.choice(["grant", "refund"]).unwrap(),
                key: rng.choice(["k-1", "k-2", "k-3"]).unwrap().to_owned(),
                amount: rng.choice([-1, 0, 50, 50, 50, 300, 300, 1_000]).unwrap(),
            },
            7..12 => {
                let mut legs = Vec::new();
                for name in rng.choose_multiple(ACCOUNTS, 3) {
                    if legs.is_empty() || rng.u8(..3) == 0 {
                        let amount = rng.i64(0..400);
                        legs.push((
                            name.to_owned(),
                            amount,
                            rng.choice([0, 0, amount / 2, amount, amount]).unwrap(),
                        ));
                    }
                }
                Self::Hold { turn, legs }
            }
            12..14 => Self::Extend { turn, attempt: rng.u32(..5), extra: rng.i64(0..100) },
            14..18 => {
                let attempts = rng.usize(1..4);
                let amounts = (0..attempts).map(|_| rng.i64(-1..250)).collect();
                Self::Settle { turn, amounts }
            }
            _ => Self::Release { turn },
        }
    }

    async fn apply(&self, desk: &Desk, scope: &Scope) -> Result<(), &'static str> {
        let ledger = &desk.ledger;
        let answer = match self.clone() {
            Self::Open { account, is_unlimited, opening } => {
                let kind = if is_unlimited { AccountKind::Unlimited } else { AccountKind::Limited };
                let spec = AccountSpec {
                    id: id(&account),
                    owner: None,
                    kind,
                    opening: nano(opening),
                    unit: AccountUnit::Usd,
                    refill: None,
                    warn_below: None,
                };
                ledger.open_account(scope, &spec, NOW).await.map(drop)
            }
            Self::Credit { account, kind, key, amount } => {
                let kind = if kind == "grant" { CreditKind::Grant } else { CreditKind::Refund };
                ledger.credit(scope, &credit(kind, &account, &key, amount)).await.map(drop)
            }
            Self::Hold { turn, legs } => {
                let mut request = hold_request(&turn, &[]);
                request.legs.extend(legs.iter().map(|(account, amount, floor)| LegRequest {
                    account: id(account),
                    amount: nano(*amount),
                    floor: nano(*floor),
                    refill: None,
                    warn_below: None,
                }));
                ledger.hold(scope, &request).await.map(drop)
            }
            Self::Extend { turn, attempt, extra } => {
                let (amount, tokens) = (nano(extra), Tokens::ZERO);
                let extension = Extension { attempt, amount, tokens, at: NOW };
                ledger.extend(scope, &key(&turn), &extension).await.map(drop)
            }
            Self::Settle { turn, amounts } => {
                ledger.settle(scope, &settlement(&turn, &amounts)).await.map(drop)
            }
            Self::Release { turn } => ledger.release(scope, &key(&turn), NOW).await.map(drop),
        };
        answer.map_err(|error| match error.kind() {
            BalanceErrorKind::InsufficientFunds => "insufficient",
            BalanceErrorKind::NotFound => "not found",
            BalanceErrorKind::Conflict => "conflict",
            BalanceErrorKind::InvalidAmount => "invalid",
            kind => panic!("{kind:?}: {error}"),
        })
    }
}

on_every_engine! {
    m7_traces_end_as_the_model_on_paper_does,
}

fn m7_traces_end_as_the_model_on_paper_does(engine: Engine) {
    let (few, full) = match engine {
        Engine::Sqlite => (40, 1_000),
        Engine::Postgres => (25, 1_000),
        Engine::Mongo => (5, 100),
    };
    compare(&Bank::on(engine), if is_full() { full } else { few });
}

#[test]
fn m7_traces_in_memory_end_as_the_model_on_paper_does() {
    compare(&Bank::in_memory(), if is_full() { 10_000 } else { 500 });
}

/// So many traces, each in a tenant of its own; `CHAT_TEST_SEED` repeats one.
fn compare(bank: &Bank, traces: u64) {
    let (first, traces) = match std::env::var("CHAT_TEST_SEED") {
        Ok(_) => (seed(), 1),
        Err(_) => (fastrand::u64(..u64::MAX / 2), traces),
    };
    println!("seeds {first} to {} (CHAT_TEST_SEED repeats one)", first + traces - 1);
    bank.visit(async |desk| {
        let (mut steps, mut refused, mut entries) = (0, 0, 0);
        for number in 0..traces {
            let seed = first + number;
            let mut rng = Rng::with_seed(seed);
            let tenant = TenantId::new(format!("trace-{number}")).unwrap();
            let scope = Scope::new(tenant, UserId::new("ada").unwrap());
            let mut model = Model::default();
            let length = rng.usize(10..STEPS_MAX);
            for place in 0..length {
                let step = Step::any(&mut rng);
                let (expected, answered) = (model.apply(&step), step.apply(desk, &scope).await);
                assert_eq!(answered, expected, "seed {seed}, step {place}: {step:?}");
                refused += usize::from(expected.is_err());
            }
            steps += length;
            let found = read(desk, &scope, entries).await;
            assert_eq!(sorted(found), sorted(model.clone()), "seed {seed}");
            entries += u64::try_from(model.entries.len()).unwrap();
        }
        println!(
            "{traces} traces, {steps} steps ({refused} refused), {entries} entries: all equal"
        );
    });
}

/// Entries of one call stand in no order of their own.
fn sorted(mut model: Model) -> Model {
    model.entries.sort();
    for held in model.holds.values_mut() {
        held.legs.sort();
    }
    model
}

/// What the engine has of a trace, `before` entries of others skipped.
async fn read(desk: &Desk, scope: &Scope, before: u64) -> Model {
    let mut found = Model::default();
    for name in ACCOUNTS {
        let Some(account) = desk.ledger.account(scope, &id(name)).await.unwrap() else {
            continue;
        };
        let wallet = Wallet {
            is_unlimited: account.kind == AccountKind::Unlimited,
            granted: account.granted.nano_usd(),
            refunded: account.refunded.nano_usd(),
            held: account.held.nano_usd(),
            posted: account.posted.nano_usd(),
        };
        assert_eq!(account.available().unwrap().nano_usd(), wallet.available());
        found.wallets.insert(name.to_owned(), wallet);
    }
    for turn in TURNS {
        let Some(hold) = desk.ledger.hold_of(scope, &key(turn)).await.unwrap() else {
            continue;
        };
        let state = match hold.state {
            HoldState::Open => "open",
            HoldState::Posted => "posted",
            HoldState::Released => "released",
        };
        let leg = |leg: &chat_balance::HoldLeg| {
            (leg.account.to_string(), leg.amount.nano_usd(), leg.posted.nano_usd())
        };
        let legs = hold.legs.iter().map(leg).collect();
        found.holds.insert(turn.to_owned(), Held { state, legs, extended_to: hold.extended_to });
    }
    for entry in desk.books.scan_entries(before, 1_000).await.unwrap() {
        found.entries.push((entry.kind.as_str(), entry.reference, entry.amount.nano_usd()));
    }
    found
}
