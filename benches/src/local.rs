//! `bench local`: the embedded model at one thread, alone and beside a busy core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use chat_provider_local::{
    ChatLine, ChatRole, GenerateOptions, GenerationEvent, LocalEngine, Sampling, find_weights,
};

use crate::table::{Table, Target};

/// Tokens generated per measurement: about two seconds' worth.
const OUTPUT_TOKENS: u32 = 96;

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("local");
    let weights = find_weights(None).context("fetch the model with `cargo xtask weights`")?;
    let engine = LocalEngine::open(weights)?;
    let start = Instant::now();
    engine.load().await?;
    table.add("load, requantised", start.elapsed().as_secs_f64(), "s", Target::Shown);
    let (prompt, output) = speeds(&engine).await?;
    table.add("prompt, machine idle", prompt, "tokens/s", Target::Shown);
    table.add("generation, machine idle", output, "tokens/s", Target::Shown);
    let busy = Arc::new(AtomicBool::new(true));
    let spinning = {
        let busy = Arc::clone(&busy);
        std::thread::spawn(move || {
            while busy.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    };
    let beside = speeds(&engine).await;
    busy.store(false, Ordering::Relaxed);
    let _joined = spinning.join();
    let (prompt_busy, output_busy) = beside?;
    table.add("prompt, other core busy", prompt_busy, "tokens/s", Target::Shown);
    table.add("generation, other core busy", output_busy, "tokens/s", Target::Shown);
    table.add("generation, busy over idle", output_busy / output, "x", Target::AtLeast(0.5));
    Ok(table)
}

/// Tokens per second of reading a prompt and of generating.
async fn speeds(engine: &LocalEngine) -> anyhow::Result<(f64, f64)> {
    let text = "The sea was calm and the lamp was lit before the evening came. ".repeat(12);
    let options = GenerateOptions { output_tokens_max: OUTPUT_TOKENS, sampling: Sampling::Greedy };
    let start = Instant::now();
    let mut first = None;
    let mut answer = engine.generate(vec![ChatLine::new(ChatRole::User, text)], options).await?;
    while let Some(event) = answer.next().await {
        match event? {
            GenerationEvent::Token { .. } => {
                first.get_or_insert_with(Instant::now);
            }
            GenerationEvent::Finished(summary) => {
                let first = first.context("the model said nothing")?;
                let prompt = per_second(summary.input_tokens, (first - start).as_secs_f64());
                let rest = summary.output_tokens.saturating_sub(1);
                return Ok((prompt, per_second(rest, first.elapsed().as_secs_f64())));
            }
        }
    }
    anyhow::bail!("the answer has no end")
}

fn per_second(count: u64, seconds: f64) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from) / seconds
}
