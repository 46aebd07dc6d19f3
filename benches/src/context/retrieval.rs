//! What looking up sources adds to the first delta of a turn, over 100,000 chunks of one owner.
//!
//! Words and vectors, fused; the query is embedded by the real model, the chunks' vectors are drawn (see
//! `corpus`). Turns without and with sources are taken alternately, on two runtimes that differ in
//! nothing else.

use std::sync::Arc;
use std::time::Instant;

use chat_core::{Turn, TurnRequest};
use chat_rag::{Embedder, FailurePolicy, Retrieval, RetrievalConfig};
use chat_rag_local::{LocalRag, LocalRagConfig};
use chat_types::{Cursor, EventKind, Scope};
use futures::StreamExt as _;

use super::corpus::{CHUNKS, Words, fill};
use super::embedding::loaded_embedder;
use crate::rig::{Metering, Rig};
use crate::samples::{count, percentile};
use crate::table::{Table, Target};

/// Turns of each kind.
const TURNS: usize = 100;
const WARM_UP_TURNS: usize = 10;
const WORDS_PER_QUESTION: usize = 8;
const WINDOW_TOKENS: u64 = 16_384;
const BEHAVIOUR: &str = "chunks=1";

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [with_folder, without_folder] = &folders;
    let without = Rig::start(without_folder.path(), BEHAVIOUR, WINDOW_TOKENS).await?;
    let scope = without.scope(0)?;
    let embedder: Arc<dyn Embedder> = Arc::new(loaded_embedder().await?);
    let path = with_folder.path().join("rag.db");
    let start = Instant::now();
    fill(&path, &scope, embedder.space().clone()).await?;
    table.add("retrieval: chunks of one owner", count(CHUNKS), "chunks", Target::Shown);
    table.add("retrieval: filling them", start.elapsed().as_secs_f64(), "s", Target::Shown);
    let index = LocalRag::open(LocalRagConfig::new(&path), Some(embedder)).await?;
    let mut config = RetrievalConfig::default();
    // A search that is too late ends the bench, it does not make turns fast.
    config.on_failure = FailurePolicy::Required;
    // Drawn vectors point nowhere; without a floor turns get as many sources as they can.
    config.score_min = 0.0;
    let retrieval = Retrieval::new("local", Arc::new(index.clone()), config)?;
    let equip = |builder: chat_core::BaseClientBuilder| builder.retrieval(retrieval);
    let with_folder = with_folder.path();
    let with = Rig::start_with(with_folder, BEHAVIOUR, WINDOW_TOKENS, Metering::On, equip).await?;
    let (mut plain, mut sourced, mut sources) = (Vec::new(), Vec::new(), 0);
    for number in 0..TURNS + WARM_UP_TURNS {
        let seed = u64::try_from(number)?.saturating_add(1_000_000);
        let question = Words::from_seed(seed).text(WORDS_PER_QUESTION);
        let (first_ms, _) = first_delta(&without, &scope, &question).await?;
        let (first_ms_with, found) = first_delta(&with, &scope, &question).await?;
        if number >= WARM_UP_TURNS {
            plain.push(first_ms);
            sourced.push(first_ms_with);
            sources += found;
        }
    }
    index.close().await;
    anyhow::ensure!(sources >= TURNS, "{TURNS} turns were shown {sources} sources only");
    let (plain, sourced) = (percentile(&mut plain, 50), percentile(&mut sourced, 50));
    let found = count(sources) / count(TURNS);
    table.add("retrieval: sources shown per turn, mean", found, "sources", Target::Shown);
    table.add("retrieval: first delta without sources, p50", plain, "ms", Target::Shown);
    table.add("retrieval: first delta with sources, p50", sourced, "ms", Target::Shown);
    table.add("retrieval: added to the first delta, p50", sourced - plain, "ms", Target::Shown);
    Ok(())
}

/// Milliseconds to the first delta of one turn in a new conversation, and the sources its model was shown.
async fn first_delta(rig: &Rig, scope: &Scope, question: &str) -> anyhow::Result<(f64, usize)> {
    let (times, turn) = rig.turn(scope, TurnRequest::text(question)).await?;
    turn.settled().await;
    Ok((times.first_ms, sources_of(&turn).await?))
}

async fn sources_of(turn: &Turn) -> anyhow::Result<usize> {
    let mut events = turn.events(Cursor::START).await?;
    let mut sources = 0;
    while let Some(event) = events.next().await {
        sources += usize::from(matches!(event?.event, EventKind::Source { .. }));
    }
    Ok(sources)
}
