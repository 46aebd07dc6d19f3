//! Retrieval over real documents: what is found, by which search, and for whom.
//!
//! `recall@5` is the share of questions for which one of the first five snippets comes from the
//! document that answers and holds the words that answer. It is printed for the words alone, the
//! vectors alone and both fused.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and show what they measured"
)]

mod corpus;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chat_provider_local::{LocalEmbedder, find_embedding_weights};
use chat_rag::{
    AddOutcome, Document, Embedder, RagClient as _, RagIndex as _, Retrieval, RetrievalConfig,
    RetrievalRequest, Snippet, citations, fence,
};
use chat_rag_local::{LocalRag, LocalRagConfig, SearchBy};
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter as _};
use chat_types::{Scope, TenantId, Tokens, UserId};
use corpus::Question;

/// How many snippets a question may take.
const FIRST: usize = 5;

fn scope(user: &str) -> Scope {
    Scope::new(TenantId::new("acme").expect("valid"), UserId::new(user).expect("valid"))
}

fn embedder() -> Arc<dyn Embedder> {
    let files = find_embedding_weights(None).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(LocalEmbedder::new(files))
}

async fn open(path: &Path, search_by: SearchBy) -> LocalRag {
    let config = LocalRagConfig::new(path).with_search_by(search_by);
    LocalRag::open(config, Some(embedder())).await.expect("opens")
}

fn is_right(question: &Question, snippet: &Snippet) -> bool {
    let words: Vec<&str> = snippet.text.split_whitespace().collect();
    snippet.id.document == corpus::id_of(&question.document)
        && words.join(" ").contains(&question.phrase)
}

/// The place of the right chunk, counted from 1.
fn place(question: &Question, snippets: &[Snippet]) -> Option<usize> {
    snippets.iter().position(|snippet| is_right(question, snippet)).map(|place| place + 1)
}

/// The share of questions that `index` answers among the first five, and the mean of one over the
/// place of the right chunk.
async fn recall(name: &str, index: &LocalRag, questions: &[Question]) -> f64 {
    let (mut found, mut reciprocal) = (0_u32, 0.0);
    let mut missed = Vec::new();
    for question in questions {
        let request = RetrievalRequest::new(scope("ada"), &question.ask).with_limit(20);
        let snippets = index.retrieve(&request).await.expect("retrieves");
        match place(question, &snippets) {
            Some(place) if place <= FIRST => {
                found += 1;
                reciprocal += 1.0 / f64::from(u32::try_from(place).expect("small"));
            }
            other => missed.push(format!("{:?}: {} ({other:?})", question.ask, question.document)),
        }
    }
    let all = f64::from(u32::try_from(questions.len()).expect("few"));
    let recall = f64::from(found) / all;
    println!("{name:8} recall@5 {recall:.3}  mean reciprocal rank {:.3}", reciprocal / all);
    for question in missed {
        println!("         missed {question}");
    }
    recall
}

#[test]
fn every_question_has_its_answer_in_the_documents() {
    let documents = corpus::documents();
    let questions = corpus::questions();
    assert!(documents.len() >= 200, "{} documents", documents.len());
    assert!(questions.len() >= 60, "{} questions", questions.len());
    let mut formats: Vec<&str> =
        documents.values().map(|document| document.media_type.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    assert!(formats.len() >= 6, "{formats:?}");
    for question in questions {
        let document = documents.get(&question.document);
        let document = document.unwrap_or_else(|| panic!("{} is not listed", question.document));
        let words: Vec<&str> = document.text.split_whitespace().collect();
        let is_there = words.join(" ").contains(&question.phrase);
        assert!(is_there, "{} no longer says {:?}", question.document, question.phrase);
    }
}

/// The main proof: index everything, ask everything, and look at what a prompt gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_found_in_real_documents_and_only_by_their_owner() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rag.db");
    let documents = corpus::documents();
    let questions = corpus::questions();
    let both = open(&path, SearchBy::Both).await;
    let chunks = add_all(&both, &documents).await;
    assert!(chunks >= 500, "{chunks} chunks");

    let words = recall("words", &open(&path, SearchBy::Words).await, &questions).await;
    let vectors = recall("vectors", &open(&path, SearchBy::Vectors).await, &questions).await;
    let fused = recall("fused", &both, &questions).await;
    // Measured: 0.776, 0.908 and 0.908; random chunks would give 0.01.
    assert!(words >= WORDS_MIN, "words found {words}");
    assert!(vectors >= VECTORS_MIN, "vectors found {vectors}");
    assert!(fused >= FUSED_MIN, "both found {fused}");

    strangers_get_nothing(&both, &questions).await;
    the_prompt_gets_the_chunk_and_its_citation(&both, &questions).await;
    small_talk_fetches_no_source(&both).await;
    nothing_is_done_twice(&both, &documents).await;
}

const WORDS_MIN: f64 = 0.72;
const VECTORS_MIN: f64 = 0.86;
const FUSED_MIN: f64 = 0.86;

async fn add_all(index: &LocalRag, documents: &BTreeMap<String, Document>) -> u32 {
    let start = Instant::now();
    let mut chunks = 0;
    for document in documents.values() {
        let added = index.add(&scope("ada"), document, &|_| {}).await.expect("adds");
        assert_eq!(added.outcome, AddOutcome::New);
        chunks += added.chunks;
    }
    let seconds = start.elapsed().as_secs_f64();
    let speed = f64::from(chunks) / seconds;
    println!(
        "{} documents, {chunks} chunks in {seconds:.1} s: {speed:.1} chunks/s",
        documents.len()
    );
    chunks
}

async fn strangers_get_nothing(index: &LocalRag, questions: &[Question]) {
    let strangers = [
        scope("bob"),
        Scope::new(TenantId::new("umbrella").expect("valid"), UserId::new("ada").expect("valid")),
    ];
    for stranger in strangers {
        for question in questions {
            let request = RetrievalRequest::new(stranger.clone(), &question.ask);
            assert_eq!(index.retrieve(&request).await.expect("retrieves"), []);
        }
        assert_eq!(index.list(&stranger, None, 0).await.expect("lists"), []);
    }
}

async fn the_prompt_gets_the_chunk_and_its_citation(index: &LocalRag, questions: &[Question]) {
    let retrieval = Retrieval::new("local", Arc::new(index.clone()), RetrievalConfig::default());
    let retrieval = retrieval.expect("settings are sound");
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let count = |text: &str| counter.count_text(text);
    let budget = Tokens::new(2_000);
    let mut shown = 0;
    for question in questions {
        let request = RetrievalRequest::new(scope("ada"), &question.ask);
        let retrieved = retrieval.retrieve(&request, budget, &count).await.expect("retrieves");
        assert_eq!(retrieved.failures, []);
        let text = fence(&retrieved.snippets);
        assert!(counter.count_text(&text) <= budget);
        let right = retrieved.snippets.iter().find(|snippet| is_right(question, snippet));
        if let Some(right) = right {
            shown += 1;
            assert!(text.contains(&format!("<source id=\"{}\" name=\"{}\"", right.id, right.name)));
            let cited = citations(&retrieved.snippets);
            let citation = cited.iter().find(|citation| citation.id == right.id.to_string());
            let title = &citation.expect("it is cited").title;
            assert!(title.starts_with(&question.document), "{title}");
        }
    }
    println!("the prompt has the right chunk for {shown} of {} questions", questions.len());
    assert!(shown * 100 >= questions.len() * 88, "{shown}");
}

async fn small_talk_fetches_no_source(index: &LocalRag) {
    let retrieval = Retrieval::new("local", Arc::new(index.clone()), RetrievalConfig::default());
    let retrieval = retrieval.expect("settings are sound");
    let mut fetched = 0;
    for talk in [
        "Hello, how are you today?",
        "Thank you very much, that was helpful!",
        "Who won the football game last night?",
        "Write a poem about my grandmother's garden.",
        "What should I cook for dinner?",
        "hi",
        "Good morning!",
        "Who are you?",
        "ok, go on",
        "Can you make it shorter?",
        "Tell me a joke.",
        "I am sad today.",
        "What is the capital of France?",
        "Explain the theory of relativity.",
    ] {
        let request = RetrievalRequest::new(scope("ada"), talk);
        let room = Tokens::new(2_000);
        let count = |text: &str| Tokens::from_len(text.len() / 4);
        let retrieved = retrieval.retrieve(&request, room, &count).await.expect("retrieves");
        println!("{talk:45} {} sources", retrieved.snippets.len());
        fetched += retrieved.snippets.len();
    }
    assert!(fetched <= 2, "{fetched} sources for small talk");
}

async fn nothing_is_done_twice(index: &LocalRag, documents: &BTreeMap<String, Document>) {
    let start = Instant::now();
    for document in documents.values() {
        let added = index.add(&scope("ada"), document, &|_| {}).await.expect("adds");
        assert_eq!(added.outcome, AddOutcome::Unchanged);
    }
    println!("all again, unchanged: {:?}", start.elapsed());
}
