//! An embedder without a model, for suites: texts that share words have vectors that agree.

use async_trait::async_trait;
use chat_rag::{Embedder, Result, VectorSpace, normalize, stem, terms};
use chat_types::Tokens;

/// Adds up one direction per word, chosen by the word's hash. The same text gives the same vector
/// on every machine.
#[derive(Clone, Debug)]
pub struct HashingEmbedder {
    space: VectorSpace,
}

impl Default for HashingEmbedder {
    /// 256 numbers a vector: few words share a direction.
    fn default() -> Self {
        Self { space: VectorSpace { model: "hashing-256".to_owned(), dimensions: 256 } }
    }
}

impl HashingEmbedder {
    /// One whose vectors are of another space.
    #[must_use]
    pub fn named(model: &str) -> Self {
        let space = Self::default().space;
        Self { space: VectorSpace { model: model.to_owned(), ..space } }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.space.dimensions];
        for term in terms(text) {
            // FNV-1a.
            let hash = stem(&term).bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            let size = u64::try_from(vector.len()).unwrap_or(1);
            let place = usize::try_from(hash % size).unwrap_or(0);
            vector[place] += 1.0;
        }
        normalize(&mut vector);
        vector
    }
}

#[async_trait]
impl Embedder for HashingEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.space
    }

    fn tokens_max(&self) -> Tokens {
        Tokens::new(512)
    }

    fn count_tokens(&self, text: &str) -> Result<Tokens> {
        Ok(Tokens::from_len(terms(text).len()))
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}
