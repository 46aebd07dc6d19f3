//! Measures the embedded model on this machine: load time, prompt and generation speed.
//!
//! ```sh
//! cargo run -q -p chat-provider-local --example speed
//! ```

#![expect(clippy::print_stdout, reason = "standard output is this program's result")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_provider_local::{
    ChatLine, ChatRole, GenerateOptions, GenerationEvent, GenerationSummary, LocalEngine, Sampling,
    find_weights,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let weights = std::env::args_os().nth(1);
    let engine = LocalEngine::open(find_weights(weights.as_deref().map(Path::new))?)?;
    let started = Instant::now();
    engine.tokenizer()?;
    println!("tokenizer_ms={}", started.elapsed().as_millis());
    let started = Instant::now();
    engine.load().await?;
    println!("load_ms={}", started.elapsed().as_millis());

    let short = "Write a short story about a lighthouse keeper and the sea.".to_owned();
    let long = "The sea was calm and the lamp was lit before the evening came. ".repeat(60);
    for (name, prompt) in [("short", short), ("long", long)] {
        let (time_to_first, rest, text, summary) = answer(&engine, prompt).await?;
        println!(
            "{name}: input_tokens={} prompt_tokens_per_s={:.0} output_tokens={} generate_tokens_per_s={:.1}",
            summary.input_tokens,
            per_second(summary.input_tokens, time_to_first),
            summary.output_tokens,
            per_second(summary.output_tokens.saturating_sub(1), rest),
        );
        println!("  {:?}", text.chars().take(200).collect::<String>());
    }
    Ok(())
}

async fn answer(
    engine: &LocalEngine,
    prompt: String,
) -> Result<(Duration, Duration, String, GenerationSummary), Box<dyn Error>> {
    let options = GenerateOptions { output_tokens_max: 128, sampling: Sampling::Greedy };
    let started = Instant::now();
    let mut first_text_at = None;
    let mut text = String::new();
    let mut answer = engine.generate(vec![ChatLine::new(ChatRole::User, prompt)], options).await?;
    while let Some(event) = answer.next().await {
        match event? {
            GenerationEvent::Token { text: delta, .. } => {
                first_text_at.get_or_insert_with(Instant::now);
                text.push_str(&delta);
            }
            GenerationEvent::Finished(summary) => {
                let first_text_at = first_text_at.ok_or("the model said nothing")?;
                return Ok((first_text_at - started, first_text_at.elapsed(), text, summary));
            }
        }
    }
    Err("the answer has no end".into())
}

fn per_second(count: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
