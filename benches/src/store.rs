//! `bench store-ENGINE`: what a turn's commits, a branch and a listing cost on one engine, through
//! the ports.
//!
//! Not here: making the rows (`store_scene`), fresh databases (`store_engine`).

use std::sync::Arc;
use std::time::Instant;

use chat_persist::{ConversationCursor, ConversationQuery};
use chat_types::{Timestamp, UserId};

use crate::samples::{count, milliseconds, percentile};
use crate::store_engine::{Engine, Opened};
use crate::store_scene::{CONVERSATIONS, Line, TurnMaker, conversations, line, listed_id};
use crate::table::{Table, Target};

/// Turns of one task in the latency part.
const TURNS_ALONE: usize = 400;
/// Tasks at a time in the throughput part, and turns of each.
const TASKS: usize = 16;
const TURNS_EACH: usize = 100;
/// Turns before anything is measured.
const WARM_UP_TURNS: usize = 40;
/// Conversation lengths that are compared, in messages.
const LENGTHS: [usize; 2] = [1_000, 100_000];
/// What a window of 8,000 tokens takes of messages of 50, in pages as the prompt builder asks.
const WINDOW_PAGES: [usize; 3] = [64, 64, 32];
/// Times each branch is loaded, the lengths in turns so that the machine's mood is shared.
const LOADS: usize = 300;
/// Times each page is listed, and how many conversations it has.
const LISTINGS: usize = 300;
const PAGE: u32 = 50;

/// Measures one engine on a place of its own.
pub(crate) async fn run(engine: Engine) -> anyhow::Result<Table> {
    let opened = Arc::new(Opened::fresh(engine).await?);
    let mut table = Table::new(engine.bench());
    turns(&opened, &mut table).await?;
    branches(&opened, &mut table).await?;
    listings(&opened, &mut table).await?;
    opened.close().await;
    Ok(table)
}

/// Accept, hold and step, checkpoint, close, settle and usage, settled mark.
async fn turns(opened: &Arc<Opened>, table: &mut Table) -> anyhow::Result<()> {
    let maker = TurnMaker::new(opened, 0).await?;
    for number in 0..WARM_UP_TURNS {
        maker.turn(number).await?;
    }
    let start = Instant::now();
    let (mut accepts, mut wholes) = (Vec::new(), Vec::new());
    for number in 0..TURNS_ALONE {
        let times = maker.turn(WARM_UP_TURNS + number).await?;
        accepts.push(times.accept_ms);
        wholes.push(times.whole_ms);
    }
    let alone = count(TURNS_ALONE) / start.elapsed().as_secs_f64();
    table.add("accept, 1 task, p50", percentile(&mut accepts, 50), "ms", Target::Shown);
    table.add("accept, 1 task, p99", percentile(&mut accepts, 99), "ms", Target::Shown);
    table.add("a turn's commits, 1 task, p50", percentile(&mut wholes, 50), "ms", Target::Shown);
    table.add("a turn's commits, 1 task, p99", percentile(&mut wholes, 99), "ms", Target::Shown);
    table.add("turns, 1 task", alone, "turns/s", Target::Shown);
    let (mut wholes, together) = at_once(opened).await?;
    table.add("a turn's commits, 16 tasks, p50", percentile(&mut wholes, 50), "ms", Target::Shown);
    table.add("a turn's commits, 16 tasks, p99", percentile(&mut wholes, 99), "ms", Target::Shown);
    table.add("turns, 16 tasks", together, "turns/s", Target::Shown);
    table.add("16 tasks over 1", together / alone, "x", Target::AtLeast(2.0));
    Ok(())
}

/// Milliseconds of each turn, and turns per second, of sixteen users at a time.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
async fn at_once(opened: &Arc<Opened>) -> anyhow::Result<(Vec<f64>, f64)> {
    let mut makers = Vec::with_capacity(TASKS);
    for task in 0..TASKS {
        makers.push(TurnMaker::new(opened, task + 1).await?);
    }
    let start = Instant::now();
    let tasks: Vec<_> = makers
        .into_iter()
        .map(|maker| {
            tokio::spawn(async move {
                let mut wholes = Vec::with_capacity(TURNS_EACH);
                for number in 0..TURNS_EACH {
                    wholes.push(maker.turn(number).await?.whole_ms);
                }
                anyhow::Ok(wholes)
            })
        })
        .collect();
    let mut wholes = Vec::with_capacity(TASKS * TURNS_EACH);
    for task in tasks {
        wholes.extend(task.await??);
    }
    Ok((wholes, count(TASKS * TURNS_EACH) / start.elapsed().as_secs_f64()))
}

/// The newest messages of one branch, as many as fill the same window.
async fn branches(opened: &Opened, table: &mut Table) -> anyhow::Result<()> {
    let [short, long] = LENGTHS;
    let lines = [line(opened, short).await?, line(opened, long).await?];
    let mut samples: [Vec<f64>; 2] = Default::default();
    for round in 0..LOADS + 20 {
        for (line, samples) in lines.iter().zip(&mut samples) {
            let start = Instant::now();
            load(opened, line).await?;
            if round >= 20 {
                samples.push(milliseconds(start));
            }
        }
    }
    let [mut short, mut long] = samples;
    let ratio = percentile(&mut long, 50) / percentile(&mut short, 50);
    for (name, samples) in [("1,000", &mut short), ("100,000", &mut long)] {
        let p50 = percentile(samples, 50);
        let p99 = percentile(samples, 99);
        table.add(format!("window of {name} messages, p50"), p50, "ms", Target::Shown);
        table.add(format!("window of {name} messages, p99"), p99, "ms", Target::Shown);
    }
    table.add("window: 100,000 messages over 1,000", ratio, "x", Target::AtMost(1.2));
    Ok(())
}

async fn load(opened: &Opened, line: &Line) -> anyhow::Result<()> {
    let mut head = Some(line.head.clone());
    for limit in WINDOW_PAGES {
        let from = head.take().ok_or_else(|| anyhow::anyhow!("the branch is too short"))?;
        let store = &opened.ports().store;
        let page = store.branch(&line.scope, &line.conversation, &from, limit).await?;
        anyhow::ensure!(page.messages.len() == limit, "a page is not full");
        head = page.next;
    }
    Ok(())
}

/// The first page and one from the middle, of a user with very many conversations.
async fn listings(opened: &Arc<Opened>, table: &mut Table) -> anyhow::Result<()> {
    let scope = opened.scope(UserId::new("collector")?)?;
    conversations(opened, &scope).await?;
    let middle = CONVERSATIONS / 2;
    let cursor = ConversationCursor {
        updated_at: Timestamp::from_unix_ms(i64::try_from(middle)?),
        id: listed_id(middle)?,
    };
    let mut medians = Vec::new();
    for (name, after) in [("first page", None), ("middle page", Some(cursor))] {
        let query = ConversationQuery { limit: PAGE, after, ..ConversationQuery::default() };
        let mut samples = Vec::with_capacity(LISTINGS);
        for round in 0..LISTINGS + 20 {
            let start = Instant::now();
            let page = opened.ports().store.conversations(&scope, &query).await?;
            let full = u32::try_from(page.conversations.len())? == PAGE;
            anyhow::ensure!(full, "the page is not full");
            if round >= 20 {
                samples.push(milliseconds(start));
            }
        }
        let p50 = percentile(&mut samples, 50);
        let p99 = percentile(&mut samples, 99);
        medians.push(p50);
        table.add(format!("100,000 conversations, {name}, p50"), p50, "ms", Target::Shown);
        table.add(format!("100,000 conversations, {name}, p99"), p99, "ms", Target::Shown);
    }
    if let [first, middle] = medians.as_slice() {
        table.add("listing: middle page over first", middle / first, "x", Target::AtMost(2.0));
    }
    Ok(())
}
