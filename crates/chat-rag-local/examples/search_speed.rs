//! How long a search takes over many chunks: `speed [CHUNKS [FILE]]`, 100,000 in a temporary file
//! unless said otherwise. Words are drawn as often as words of a language are, vectors at random.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chat_rag::{
    Document, Embedder, RagClient as _, RagIndex as _, RetrievalRequest, VectorSpace, normalize,
};
use chat_rag_local::{LocalRag, LocalRagConfig, SearchBy};
use chat_types::{FileId, Scope, TenantId, Tokens, UserId};

const CHUNKS_PER_DOCUMENT: u32 = 40;
const WORDS_PER_CHUNK: u32 = 150;
const VOCABULARY: u32 = 30_000;
const QUESTIONS: u32 = 200;

/// Vectors that depend on the text and on nothing else.
#[derive(Debug)]
struct Random(VectorSpace);

#[async_trait]
impl Embedder for Random {
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
        let vector = |text: &&str| {
            let seed = text
                .bytes()
                .fold(7_u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            let mut draw = Draw(seed);
            let mut vector: Vec<f32> =
                (0..self.0.dimensions).map(|_| f32::from(draw.small()) - 32_768.0).collect();
            normalize(&mut vector);
            vector
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// A small generator: the same numbers at every run.
struct Draw(u64);

impl Draw {
    fn small(&mut self) -> u16 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from(self.0 >> 48).unwrap_or_default()
    }

    /// A word; the n-th is drawn about n times less often than the first.
    fn word(&mut self) -> String {
        let share = (f64::from(self.small()) + 1.0) / 65_536.0;
        let rank = f64::from(VOCABULARY).powf(share).floor();
        format!("word{rank}")
    }

    fn text(&mut self, words: u32) -> String {
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ") + ".\n\n"
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let chunks: u32 = arguments.next().map_or(Ok(100_000), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    let path = arguments.next().map_or_else(|| folder.path().join("rag.db"), Into::into);
    let space = VectorSpace { model: "random".to_owned(), dimensions: 384 };
    let embedder: Arc<dyn Embedder> = Arc::new(Random(space));
    let open = async |search_by| {
        let config = LocalRagConfig::new(&path).with_search_by(search_by);
        LocalRag::open(config, Some(Arc::clone(&embedder))).await
    };
    let scope = Scope::new(TenantId::new("acme")?, UserId::new("ada")?);
    let index = open(SearchBy::Both).await?;
    let start = Instant::now();
    let mut added = 0;
    for n in 0..chunks.div_ceil(CHUNKS_PER_DOCUMENT) {
        let mut draw = Draw(u64::from(n));
        let text: String = (0..CHUNKS_PER_DOCUMENT).map(|_| draw.text(WORDS_PER_CHUNK)).collect();
        let document = Document::new(FileId::new(format!("d-{n}"))?, format!("{n}.txt"), text);
        added += index.add(&scope, &document, &|_| {}).await?.chunks;
    }
    let bytes = std::fs::metadata(&path)?.len();
    println!("{added} chunks in {:.1?}, {} MiB", start.elapsed(), bytes / 1_048_576);
    for (name, search_by) in
        [("words", SearchBy::Words), ("vectors", SearchBy::Vectors), ("both", SearchBy::Both)]
    {
        let index = open(search_by).await?;
        let mut times: Vec<Duration> = Vec::new();
        for n in 0..QUESTIONS {
            let question = Draw(u64::from(n) + 1_000_000).text(8);
            let request = RetrievalRequest::new(scope.clone(), question);
            let start = Instant::now();
            let found = index.retrieve(&request).await?;
            times.push(start.elapsed());
            if found.len() != 8 {
                return Err(format!("{name}: {} snippets", found.len()).into());
            }
        }
        let first = times.first().copied().unwrap_or_default();
        times.sort();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        println!("{name:8} first {first:.1?}, p50 {:.1?}, p95 {:.1?}", at(50), at(95));
    }
    Ok(())
}
