//! Benchmarks: every figure beside its target, as ratios taken side by side in one run.
//!
//! `chat-bench [turn|history|tokens|local]…`, all of them without arguments. Writes JSON to
//! `target/bench/`. Run by `cargo xtask bench`, which builds in release mode.

#![expect(clippy::print_stdout, reason = "standard output is this program's result")]

mod cpu;
mod history;
mod local;
mod rig;
mod table;
mod tokens;
mod turn;

use std::path::PathBuf;

use anyhow::Context as _;

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
    let all = ["turn", "history", "tokens", "local"].map(str::to_owned).to_vec();
    for name in if asked.is_empty() { all } else { asked } {
        let table = match name.as_str() {
            "turn" => as_a_task(turn::run()).await?,
            "history" => as_a_task(history::run()).await?,
            "tokens" => tokens::run(&repository)?,
            "local" => local::run().await?,
            other => anyhow::bail!("there is no bench {other}: turn, history, tokens, local"),
        };
        print!("{}", table.text());
        table.save(&results)?;
    }
    Ok(())
}

/// Runs a bench where a server's handlers run: on the runtime's workers, not beside them.
#[expect(clippy::disallowed_methods, reason = "awaited right here")]
async fn as_a_task(
    bench: impl Future<Output = anyhow::Result<table::Table>> + Send + 'static,
) -> anyhow::Result<table::Table> {
    tokio::spawn(bench).await?
}
