//! Vectors of the embedded model on one thread: chunks of a document per second, and one short query.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use chat_provider_local::{LocalEmbedder, find_embedding_weights};
use chat_rag::{Chunk, Chunker, Document, Embedder as _, embed_chunks};
use chat_types::{FileId, Tokens};

use crate::samples::{count, milliseconds, percentile};
use crate::table::{Table, Target};
use crate::tokens::gather;

/// Chunks embedded: some seconds' worth.
const CHUNKS: usize = 96;
/// Only chunks of about 200 tokens are taken.
const CHUNK_TOKENS: std::ops::RangeInclusive<u64> = 180..=224;
const QUERIES: usize = 100;
const WARM_UP_QUERIES: usize = 5;

/// The embedded model, loaded.
///
/// # Errors
/// Its files are not there.
pub(crate) async fn loaded_embedder() -> anyhow::Result<LocalEmbedder> {
    let weights = find_embedding_weights(None);
    let weights = weights.context("fetch the model with `cargo xtask weights embedding`")?;
    let embedder = LocalEmbedder::new(weights);
    embedder.load().await?;
    Ok(embedder)
}

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let embedder = loaded_embedder().await?;
    let chunks = chunks_of_prose(&embedder)?;
    let tokens: Tokens = chunks.iter().map(|chunk| chunk.tokens).sum();
    let tokens = count(usize::try_from(tokens.get())?);
    let mut queries = Vec::with_capacity(QUERIES);
    for number in 0..QUERIES + WARM_UP_QUERIES {
        let query = format!("How long does a turn number {number} wait for its sources?");
        let start = Instant::now();
        embedder.embed(&[query.as_str()]).await?;
        if number >= WARM_UP_QUERIES {
            queries.push(milliseconds(start));
        }
    }
    let start = Instant::now();
    embed_chunks(&embedder, &chunks, &|_| {}).await?;
    let seconds = start.elapsed().as_secs_f64();
    let number = count(chunks.len());
    table.add("embedding: tokens of a chunk, mean", tokens / number, "tokens", Target::Shown);
    table.add("embedding: chunks", number / seconds, "chunks/s", Target::Shown);
    table.add("embedding: one query, p50", percentile(&mut queries, 50), "ms", Target::Shown);
    Ok(())
}

/// This project's documents, as an index splits them.
fn chunks_of_prose(embedder: &LocalEmbedder) -> anyhow::Result<Vec<Chunk>> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let repository = repository.parent().context("the package lies in the repository")?;
    let prose = gather(repository, &["md"], 400_000)?;
    let document = Document::new(FileId::new("prose")?, "prose.md", prose);
    let mut chunks = Chunker::default().chunk(&document, &|text| embedder.count_tokens(text))?;
    chunks.retain(|chunk| CHUNK_TOKENS.contains(&chunk.tokens.get()));
    chunks.truncate(CHUNKS);
    anyhow::ensure!(chunks.len() == CHUNKS, "only {} such chunks", chunks.len());
    Ok(chunks)
}
