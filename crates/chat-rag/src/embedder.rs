//! The port of an embedding model: texts in, vectors out.

use std::fmt::Debug;

use async_trait::async_trait;
use chat_types::Tokens;

use crate::chunker::Chunk;
use crate::document::{AddProgress, AddStage};
use crate::error::{RagError, RagErrorKind, Result};

/// Texts per call of [`embed_all`]: enough to keep a model busy, and progress in steps of a second
/// or two on one slow core.
const TEXTS_PER_CALL: usize = 16;

/// Whose vectors these are. Vectors of two spaces are never compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VectorSpace {
    /// Names model and version, for example `all-MiniLM-L6-v2`.
    pub model: String,
    /// Numbers per vector.
    pub dimensions: usize,
}

/// Turns texts into vectors of length 1.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// Whose vectors it makes; always the same.
    fn space(&self) -> &VectorSpace;

    /// The longest text it reads, in its own tokens; what is longer is cut, not refused.
    fn tokens_max(&self) -> Tokens;

    /// The tokens of `text` in its own vocabulary; chunks are sized by them, so that none is cut.
    ///
    /// # Errors
    /// `Embedding` if the tokenizer cannot be had or refuses the text.
    fn count_tokens(&self, text: &str) -> Result<Tokens>;

    /// One vector per text, in their order, each of length 1. Equal texts give equal vectors.
    ///
    /// # Errors
    /// `Embedding` if the model fails, `Busy` if its line is full, `Unavailable` if it is remote
    /// and does not answer.
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
}

const _DYN: fn(&dyn Embedder) = |_| {};

/// Embeds any number of texts in calls of a bounded size and checks what comes back;
/// `on_done(texts done)` is called after each call.
///
/// # Errors
/// As [`Embedder::embed`]; `Embedding` if the vectors are not what the embedder promises.
pub async fn embed_all(
    embedder: &dyn Embedder,
    texts: &[&str],
    on_done: &(dyn Fn(usize) + Send + Sync),
) -> Result<Vec<Vec<f32>>> {
    let mut vectors = Vec::with_capacity(texts.len());
    for texts in texts.chunks(TEXTS_PER_CALL) {
        let made = embedder.embed(texts).await?;
        check(embedder.space(), texts.len(), &made)?;
        vectors.extend(made);
        on_done(vectors.len());
    }
    Ok(vectors)
}

/// Embeds what is embedded of each of `chunks`, and says how far it is.
///
/// # Errors
/// As [`embed_all`].
pub async fn embed_chunks(
    embedder: &dyn Embedder,
    chunks: &[Chunk],
    on_progress: &(dyn Fn(AddProgress) + Send + Sync),
) -> Result<Vec<Vec<f32>>> {
    let report = |done| on_progress(AddProgress::at(AddStage::Embedding, done, chunks.len()));
    report(0);
    let texts: Vec<String> = chunks.iter().map(Chunk::text_to_embed).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    embed_all(embedder, &texts, &report).await
}

fn check(space: &VectorSpace, expected: usize, made: &[Vec<f32>]) -> Result<()> {
    let is_sound = |vector: &Vec<f32>| {
        vector.len() == space.dimensions && vector.iter().all(|value| value.is_finite())
    };
    if made.len() == expected && made.iter().all(is_sound) {
        return Ok(());
    }
    let detail = format!(
        "{} gave {} vectors for {expected} texts, or not of {} finite numbers each",
        space.model,
        made.len(),
        space.dimensions
    );
    Err(RagError::new(RagErrorKind::Embedding, "embed", detail))
}

/// Scales `vector` to length 1; zeros stay zeros.
pub fn normalize(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 && length.is_finite() {
        for value in vector {
            *value /= length;
        }
    }
}

/// The cosine of two vectors of length 1; 0 if their sizes differ.
#[must_use]
pub fn cosine(left: &[f32], right: &[f32]) -> f32 {
    if left.len() == right.len() { dot(left, right).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Eight running sums, so that the compiler may use vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}
