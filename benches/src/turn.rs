//! `bench turn`: what the runtime adds to a call, durable and metered.

use std::sync::Arc;
use std::time::Instant;

use chat_core::TurnRequest;

use crate::cpu::process_seconds;
use crate::rig::{Rig, Times};
use crate::samples::{count, percentile};
use crate::table::{Table, Target};

/// Turns of one user in the latency part.
const TURNS_ALONE: usize = 300;
/// Users at a time in the throughput part, and turns of each.
const USERS: usize = 16;
const TURNS_EACH: usize = 60;
/// A conversation is left after this many turns.
const TURNS_PER_CONVERSATION: usize = 10;
/// Rounds of the throughput part; the runtime and the direct call take turns.
const ROUNDS: usize = 3;

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("turn");
    measure(&mut table, "200 chunks in one write", "chunks=200,one_write=1", true).await?;
    measure(&mut table, "200 chunks, a write each", "chunks=200", false).await?;
    Ok(table)
}

async fn measure(
    table: &mut Table,
    name: &str,
    behaviour: &str,
    judged: bool,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rig = Arc::new(Rig::start(folder.path(), behaviour, 16_384).await?);
    let target = |target: Target| if judged { target } else { Target::Shown };
    alone(&rig, 0, TURNS_PER_CONVERSATION).await?;
    let mut direct = Vec::new();
    for _ in 0..TURNS_ALONE {
        direct.push(rig.ask_directly().await?);
    }
    let (flushes, cpu) = (rig.store.flushes(), process_seconds()?);
    let through = alone(&rig, 1, TURNS_ALONE).await?;
    let turns = count(TURNS_ALONE);
    let cpu_ms = (process_seconds()? - cpu) * 1_000.0 / turns;
    let flushes = count(usize::try_from(rig.store.flushes() - flushes)?) / turns;
    let added = |of: fn(&Times) -> f64, percent: usize| {
        let mut through: Vec<f64> = through.iter().map(of).collect();
        let mut direct: Vec<f64> = direct.iter().map(of).collect();
        percentile(&mut through, percent) - percentile(&mut direct, percent)
    };
    table.add(
        format!("{name}: added to the first delta, p50"),
        added(|t| t.first_ms, 50),
        "ms",
        target(Target::AtMost(1.5)),
    );
    table.add(
        format!("{name}: added to the whole turn, p50"),
        added(|t| t.total_ms, 50),
        "ms",
        target(Target::AtMost(3.0)),
    );
    table.add(
        format!("{name}: added to the whole turn, p99"),
        added(|t| t.total_ms, 99),
        "ms",
        Target::Shown,
    );
    table.add(format!("{name}: CPU per turn, 1 user"), cpu_ms, "ms", target(Target::AtMost(1.5)));
    table.add(
        format!("{name}: flushes per turn, 1 user (3 awaited + 1 lazy)"),
        flushes,
        "",
        target(Target::AtMost(4.1)),
    );
    let (mut ratio, mut best) = (0.0_f64, (0.0, 0.0, 0.0));
    for _ in 0..ROUNDS {
        let direct = together(&rig, true).await?;
        let cpu = process_seconds()?;
        let through = together(&rig, false).await?;
        let cpu_ms = (process_seconds()? - cpu) * 1_000.0 / count(USERS * TURNS_EACH);
        if through / direct > ratio {
            ratio = through / direct;
            best = (direct, through, cpu_ms);
        }
    }
    table.add(format!("{name}: direct, 16 users"), best.0, "turns/s", Target::Shown);
    table.add(format!("{name}: through the runtime, 16 users"), best.1, "turns/s", Target::Shown);
    table.add(
        format!("{name}: runtime over direct (1/7 is 0.143)"),
        ratio,
        "x",
        target(Target::AtLeast(1.0 / 7.0)),
    );
    table.add(format!("{name}: CPU per turn, 16 users"), best.2, "ms", target(Target::AtMost(1.5)));
    Ok(())
}

/// Turns of one user, one after another.
async fn alone(rig: &Rig, user: usize, turns: usize) -> anyhow::Result<Vec<Times>> {
    let scope = rig.scope(user)?;
    let mut times = Vec::with_capacity(turns);
    let mut conversation = None;
    for number in 0..turns {
        if number % TURNS_PER_CONVERSATION == 0 {
            conversation = None;
        }
        let mut request = TurnRequest::text("Tell me about the sea.");
        if let Some(id) = conversation.take() {
            request = request.in_conversation(id);
        }
        let (time, turn) = rig.turn(&scope, request).await?;
        conversation = Some(turn.conversation().clone());
        times.push(time);
        if number + 1 == turns {
            turn.settled().await;
        }
    }
    Ok(times)
}

/// Turns per second of sixteen users at a time.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
async fn together(rig: &Arc<Rig>, directly: bool) -> anyhow::Result<f64> {
    let start = Instant::now();
    let users: Vec<_> = (0..USERS)
        .map(|user| {
            let rig = Arc::clone(rig);
            tokio::spawn(async move {
                if directly {
                    for _ in 0..TURNS_EACH * 4 {
                        rig.ask_directly().await?;
                    }
                } else {
                    alone(&rig, user, TURNS_EACH).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for user in users {
        user.await??;
    }
    let turns = count(USERS * TURNS_EACH) * if directly { 4.0 } else { 1.0 };
    Ok(turns / start.elapsed().as_secs_f64())
}
