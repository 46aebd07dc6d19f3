//! `bench money-ENGINE`: holds and settlements a second, on one account that everybody wants and on a
//! thousand; on SQLite also what metering adds to a turn.
//!
//! Not here: the ledger that does nothing (`unmetered`), fresh databases (`store_engine`).

use std::sync::Arc;
use std::time::Instant;

use chat_balance::{AccountKind, AccountSpec, HoldRequest, LegRequest, Posting, Settlement};
use chat_core::TurnRequest;
use chat_types::{AccountId, Money, Scope, StepKey, Timestamp, Tokens, TurnId, UserId};

use crate::rig::{Metering, Rig};
use crate::samples::{count, milliseconds, percentile};
use crate::store_engine::{Engine, Opened};
use crate::table::{Table, Target};

/// Tasks at a time, and pairs of a hold and a settlement of each.
const TASKS: usize = 16;
const PAIRS_EACH: usize = 150;
/// Accounts of the wide part.
const ACCOUNTS: usize = 1_000;
/// Rounds of the metering part, and turns of each kind in a round: the kinds take turns, so that the machine's
/// mood is shared.
const ROUNDS: usize = 30;
const TURNS_EACH: usize = 10;
/// Rounds before anything is measured.
const WARM_UP_ROUNDS: usize = 2;
const BEHAVIOUR: &str = "chunks=200,one_write=1";

/// The name of an engine's bench.
pub(crate) const fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "money-sqlite",
        Engine::Postgres => "money-postgres",
        Engine::Mongo => "money-mongo",
    }
}

/// Measures one engine on a place of its own.
pub(crate) async fn run(engine: Engine) -> anyhow::Result<Table> {
    let mut table = Table::new(name(engine));
    let opened = Arc::new(Opened::fresh(engine).await?);
    let scope = opened.scope(UserId::new("ada")?)?;
    let mut accounts = Vec::with_capacity(ACCOUNTS);
    for number in 0..ACCOUNTS {
        accounts.push(open(&opened, &scope, &format!("account-{number}")).await?);
    }
    let accounts = Arc::new(accounts);
    for (part, width) in [("1 hot account", 1), ("1,000 accounts", ACCOUNTS)] {
        let start = Instant::now();
        let mut pairs = together(&opened, &scope, &accounts, width).await?;
        let per_second = count(pairs.len()) / start.elapsed().as_secs_f64();
        let name = format!("{part}, 16 tasks: hold and settle");
        table.add(name.clone(), per_second, "pairs/s", Target::Shown);
        table.add(format!("{name}, p50"), percentile(&mut pairs, 50), "ms", Target::Shown);
        table.add(format!("{name}, p99"), percentile(&mut pairs, 99), "ms", Target::Shown);
    }
    opened.close().await;
    if engine == Engine::Sqlite {
        metering(&mut table).await?;
    }
    Ok(table)
}

async fn open(opened: &Opened, scope: &Scope, name: &str) -> anyhow::Result<AccountId> {
    let id = AccountId::new(name)?;
    let spec = AccountSpec {
        owner: Some(scope.user.clone()),
        opening: Money::from_usd(1_000_000)?,
        ..AccountSpec::new(id.clone(), AccountKind::Limited)
    };
    opened.ports().ledger.open_account(scope, &spec, Timestamp::from_unix_ms(0)).await?;
    Ok(id)
}

/// Milliseconds of each pair, of sixteen tasks over the first `width` accounts.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
async fn together(
    opened: &Arc<Opened>,
    scope: &Scope,
    accounts: &Arc<Vec<AccountId>>,
    width: usize,
) -> anyhow::Result<Vec<f64>> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (opened, scope, accounts) =
                (Arc::clone(opened), scope.clone(), Arc::clone(accounts));
            tokio::spawn(async move {
                let mut pairs = Vec::with_capacity(PAIRS_EACH);
                for number in 0..PAIRS_EACH {
                    // Every task goes over all accounts, each from another place.
                    let place = (task * width / TASKS + number) % width;
                    let account = accounts.get(place).cloned();
                    let account = account.ok_or_else(|| anyhow::anyhow!("no such account"))?;
                    let turn = TurnId::new(format!("t-{width}-{task}-{number}"))?;
                    pairs.push(pair(&opened, &scope, account, turn).await?);
                }
                anyhow::Ok(pairs)
            })
        })
        .collect();
    let mut pairs = Vec::with_capacity(TASKS * PAIRS_EACH);
    for task in tasks {
        pairs.extend(task.await??);
    }
    Ok(pairs)
}

async fn pair(
    opened: &Opened,
    scope: &Scope,
    account: AccountId,
    turn: TurnId,
) -> anyhow::Result<f64> {
    let ledger = &opened.ports().ledger;
    let (key, at) = (StepKey { turn, step: 1 }, Timestamp::from_unix_ms(1));
    let amount = Money::from_nano_usd(1_000_000);
    let legs = vec![LegRequest { account, amount, floor: amount, refill: None, warn_below: None }];
    let start = Instant::now();
    ledger.hold(scope, &HoldRequest { key: key.clone(), legs, at }).await?;
    let postings = vec![Posting {
        attempt: 1,
        amount: Money::from_nano_usd(400_000),
        tokens: Tokens::new(700),
    }];
    ledger.settle(scope, &Settlement { key, postings, at }).await?;
    Ok(milliseconds(start))
}

/// The same turn with its ledger and usage rows, and with ones that do nothing, beside a call without a
/// runtime: what is added by either is compared.
async fn metering(table: &mut Table) -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [with, without] = &folders;
    let metered = Rig::start(with.path(), BEHAVIOUR, 16_384).await?;
    let unmetered =
        Rig::start_with(without.path(), BEHAVIOUR, 16_384, Metering::Off, |builder| builder)
            .await?;
    let (mut direct, mut on, mut off) = (Vec::new(), Vec::new(), Vec::new());
    let (mut on_settled, mut off_settled) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        if round == WARM_UP_ROUNDS {
            for samples in [&mut direct, &mut on, &mut off, &mut on_settled, &mut off_settled] {
                samples.clear();
            }
        }
        for _ in 0..TURNS_EACH {
            direct.push(metered.ask_directly().await?.total_ms);
        }
        turns(&metered, round, &mut on, &mut on_settled).await?;
        turns(&unmetered, round, &mut off, &mut off_settled).await?;
    }
    let direct = percentile(&mut direct, 50);
    let added = |samples: &mut Vec<f64>| percentile(samples, 50) - direct;
    let (on, off) = (added(&mut on), added(&mut off));
    let (on_settled, off_settled) = (added(&mut on_settled), added(&mut off_settled));
    table.add("a turn, direct, p50", direct, "ms", Target::Shown);
    table.add("added to a turn without metering, p50", off, "ms", Target::Shown);
    table.add("added to a turn with metering, p50", on, "ms", Target::Shown);
    table.add("metering over none: added to a turn", on / off, "x", Target::AtMost(1.25));
    table.add(
        "added until all is settled, without metering, p50",
        off_settled,
        "ms",
        Target::Shown,
    );
    table.add("added until all is settled, with metering, p50", on_settled, "ms", Target::Shown);
    Ok(())
}

/// Turns of one conversation each; a turn begins when the one before is settled.
async fn turns(
    rig: &Rig,
    round: usize,
    ended: &mut Vec<f64>,
    settled: &mut Vec<f64>,
) -> anyhow::Result<()> {
    let scope = rig.scope(round)?;
    for _ in 0..TURNS_EACH {
        let start = Instant::now();
        let request = TurnRequest::text("Tell me about the sea.");
        let (times, turn) = rig.turn(&scope, request).await?;
        ended.push(times.total_ms);
        turn.settled().await;
        settled.push(milliseconds(start));
    }
    Ok(())
}
