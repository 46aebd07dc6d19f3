//! Benchmarks: every figure beside its target, as ratios taken side by side in one run.
//!
//! `chat-bench [turn|history|context|tokens|local|store|store-ENGINE|money|money-ENGINE]…`; without arguments all
//! that need no server. Writes JSON to `target/bench/`. Run by `cargo xtask bench`, which builds in release mode.

#![expect(clippy::print_stdout, reason = "standard output is this program's result")]

mod context;
mod cpu;
mod history;
mod local;
mod long_conversation;
mod money;
// The same files as in the tests of the crate that reads them.
#[path = "../../crates/chat-attachments/tests/support/files.rs"]
mod office_files;
mod rig;
mod samples;
mod store;
mod store_engine;
mod store_scene;
mod table;
mod tokens;
mod turn;
mod unmetered;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::store_engine::Engine;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in the repository")?
        .to_owned();
    let results = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository.join("target"), PathBuf::from)
        .join("bench");
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for name in names(asked) {
        let table = match name.as_str() {
            "turn" => as_a_task(turn::run()).await?,
            "history" => as_a_task(history::run()).await?,
            "context" => as_a_task(context::run()).await?,
            "tokens" => tokens::run(&repository)?,
            "local" => local::run().await?,
            other => match Engine::of_bench(other) {
                Some(engine) => as_a_task(store::run(engine)).await?,
                None => {
                    match Engine::ALL.into_iter().find(|engine| money::name(*engine) == other) {
                        Some(engine) => as_a_task(money::run(engine)).await?,
                        None => anyhow::bail!(
                            "there is no bench {other}: turn, history, context, tokens, local, and \
                         store and money, on all engines or as store-sqlite, -postgres, -mongo"
                        ),
                    }
                }
            },
        };
        print!("{}", table.text());
        table.save(&results)?;
    }
    Ok(())
}

/// What is to be measured: everything that needs no server unless something is named. `store` and
/// `money` mean all engines.
fn names(asked: Vec<String>) -> Vec<String> {
    let asked = if asked.is_empty() {
        ["turn", "history", "context", "tokens", "local", "store-sqlite", "money-sqlite"]
            .map(str::to_owned)
            .to_vec()
    } else {
        asked
    };
    let engines = |bench: fn(Engine) -> &'static str| {
        Engine::ALL.into_iter().map(|engine| bench(engine).to_owned()).collect()
    };
    asked
        .into_iter()
        .flat_map(|name| match name.as_str() {
            "store" => engines(Engine::bench),
            "money" => engines(money::name),
            _ => vec![name],
        })
        .collect()
}

/// Runs a bench where a server's handlers run: on the runtime's workers, not beside them.
#[expect(clippy::disallowed_methods, reason = "awaited right here")]
async fn as_a_task(
    bench: impl Future<Output = anyhow::Result<table::Table>> + Send + 'static,
) -> anyhow::Result<table::Table> {
    tokio::spawn(bench).await?
}
