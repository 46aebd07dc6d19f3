//! An index of 100,000 chunks of one owner, filled in about a minute.
//!
//! The embedded model would take hours for so many chunks. They get unit vectors drawn from a seed instead, in
//! the model's own space, so that the index keeps, reads and compares them as it does the model's; what is asked
//! later is embedded by the model. Words are drawn as often as words of a language are.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chat_rag::{Document, Embedder, RagIndex as _, VectorSpace, normalize};
use chat_rag_local::{LocalRag, LocalRagConfig};
use chat_types::{ContentHash, FileId, Scope, Tokens};

/// Chunks of the index.
pub(crate) const CHUNKS: usize = 100_000;
const CHUNKS_PER_DOCUMENT: usize = 200;
const WORDS_PER_CHUNK: usize = 150;
const VOCABULARY: f64 = 30_000.0;

/// Draws words; the n-th is drawn about n times less often than the first.
pub(crate) struct Words(fastrand::Rng);

impl Words {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// So many words, an end of a sentence after them.
    pub(crate) fn text(&mut self, words: usize) -> String {
        let word = |_| format!("word{}", VOCABULARY.powf(self.0.f64()).floor());
        (0..words).map(word).collect::<Vec<_>>().join(" ") + "."
    }
}

/// Draws a vector for each text: the same for the same text.
#[derive(Debug)]
struct DrawnVectors(VectorSpace);

#[async_trait]
impl Embedder for DrawnVectors {
    fn space(&self) -> &VectorSpace {
        &self.0
    }

    fn tokens_max(&self) -> Tokens {
        Tokens::new(254)
    }

    fn count_tokens(&self, text: &str) -> chat_rag::Result<Tokens> {
        Ok(Tokens::from_len(text.split_whitespace().count()))
    }

    async fn embed(&self, texts: &[&str]) -> chat_rag::Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

impl DrawnVectors {
    fn vector(&self, text: &str) -> Vec<f32> {
        let hash = ContentHash::of([text.as_bytes()]);
        let fold = |seed: u64, byte| seed.rotate_left(7) ^ u64::from(byte);
        let mut draw = fastrand::Rng::with_seed(hash.as_str().bytes().fold(0, fold));
        let mut vector: Vec<f32> = (0..self.0.dimensions).map(|_| draw.f32() - 0.5).collect();
        normalize(&mut vector);
        vector
    }
}

/// Writes the index to `path`, for the one owner, with vectors of `space`.
///
/// # Errors
/// As [`LocalRag::open`] and its `add`; it has another number of chunks.
pub(crate) async fn fill(path: &Path, scope: &Scope, space: VectorSpace) -> anyhow::Result<()> {
    let embedder: Arc<dyn Embedder> = Arc::new(DrawnVectors(space));
    let index = LocalRag::open(LocalRagConfig::new(path), Some(embedder)).await?;
    let mut chunks = 0;
    let mut number = 0_u64;
    while chunks < CHUNKS {
        let mut words = Words::from_seed(number);
        let paragraph = |_| words.text(WORDS_PER_CHUNK) + "\n\n";
        let text: String = (0..CHUNKS_PER_DOCUMENT).map(paragraph).collect();
        let id = FileId::new(format!("document-{number}"))?;
        let document = Document::new(id, format!("{number}.txt"), text);
        chunks += usize::try_from(index.add(scope, &document, &|_| {}).await?.chunks)?;
        number += 1;
    }
    index.close().await;
    anyhow::ensure!(chunks == CHUNKS, "{chunks} chunks instead of {CHUNKS}");
    Ok(())
}
