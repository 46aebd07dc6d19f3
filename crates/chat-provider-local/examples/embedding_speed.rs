//! Texts per second of the embedding model, one at a time and many at once, short and long.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::time::Instant;

use chat_provider_local::{LocalEmbedder, find_embedding_weights};
use chat_rag::Embedder as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let embedder = LocalEmbedder::new(find_embedding_weights(None)?);
    let start = Instant::now();
    embedder.load().await?;
    println!("loaded in {:.2?}", start.elapsed());
    let sentence = "The quick brown fox jumps over the lazy dog near the river bank. ";
    for (name, text, batch, calls) in [
        ("short, 1 a call", sentence.to_owned(), 1, 100_u32),
        ("short, 16 a call", sentence.to_owned(), 16, 20),
        ("200 tokens, 1 a call", sentence.repeat(14), 1, 20),
        ("200 tokens, 16 a call", sentence.repeat(14), 16, 5),
    ] {
        let tokens = embedder.count_tokens(&text)?;
        let texts = vec![text.as_str(); batch];
        let start = Instant::now();
        for _ in 0..calls {
            embedder.embed(&texts).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let all = f64::from(calls) * f64::from(u32::try_from(batch)?);
        println!("{name:22} ({tokens} tokens) {:.1} texts/s", all / seconds);
    }
    Ok(())
}
