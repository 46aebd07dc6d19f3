//! Retrieval as a turn sees it: deadlines, failures, several indexes, bounds.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_rag::{
    DocumentFilter, DropReason, FailurePolicy, Location, RagClient, RagError, RagErrorKind, Result,
    Retrieval, RetrievalConfig, RetrievalRequest, Snippet, SnippetId, fence,
};
use chat_types::{FileId, Scope, TenantId, Tokens, UserId};

/// Answers after a while, or fails.
#[derive(Debug, Default)]
struct Fake {
    found: Vec<Snippet>,
    delay_ms: u64,
    failure: Option<RagErrorKind>,
    started: AtomicU32,
    ended: AtomicU32,
}

#[async_trait]
impl RagClient for Fake {
    async fn retrieve(&self, _request: &RetrievalRequest) -> Result<Vec<Snippet>> {
        self.started.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        match self.failure {
            Some(kind) => Err(RagError::new(kind, "retrieve", "it is broken")),
            None => Ok(self.found.clone()),
        }
    }
}

fn snippet(document: &str, score: f64) -> Snippet {
    Snippet {
        id: SnippetId::new(FileId::new(document).unwrap(), 1),
        name: document.to_owned(),
        location: Location::default(),
        text: format!("the text of {document}"),
        score,
        rank: 1,
    }
}

fn request() -> RetrievalRequest {
    let scope = Scope::new(TenantId::new("acme").unwrap(), UserId::new("ada").unwrap());
    RetrievalRequest::new(scope, "what is it?")
}

fn words(text: &str) -> Tokens {
    Tokens::from_len(text.split_whitespace().count())
}

const ROOM: Tokens = Tokens::new(1_000);

fn over(fake: Fake, config: RetrievalConfig) -> (Arc<Fake>, Retrieval) {
    let fake = Arc::new(fake);
    let index: Arc<dyn RagClient> = Arc::clone(&fake) as _;
    (fake, Retrieval::new("fake", index, config).unwrap())
}

fn config(adjust: impl FnOnce(&mut RetrievalConfig)) -> RetrievalConfig {
    let mut config = RetrievalConfig::default();
    adjust(&mut config);
    config
}

fn names(snippets: &[Snippet]) -> Vec<&str> {
    snippets.iter().map(|snippet| snippet.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_late_search_is_reported_and_runs_to_its_end() {
    let slow = Fake { delay_ms: 60_000, ..Fake::default() };
    let (fake, retrieval) = over(slow, RetrievalConfig::default());
    let start = tokio::time::Instant::now();
    let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(retrieved.snippets, []);
    assert_eq!(retrieved.failures[0].code, "rag_timeout");
    assert_eq!(retrieved.failures[0].index, "fake");
    assert_eq!(fake.ended.load(Ordering::SeqCst), 0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fake.ended.load(Ordering::SeqCst), 1, "the search was dropped half-way");
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_holds_where_it_is_stricter() {
    let (_fake, retrieval) =
        over(Fake { delay_ms: 500, ..Fake::default() }, RetrievalConfig::default());
    let hurried = RetrievalRequest { deadline: Some(Duration::from_millis(100)), ..request() };
    let retrieved = retrieval.retrieve(&hurried, ROOM, &words).await.unwrap();
    assert_eq!(retrieved.failures.len(), 1);
    assert_eq!(retrieval.retrieve(&request(), ROOM, &words).await.unwrap().failures, []);
}

#[tokio::test(start_paused = true)]
async fn required_sources_fail_the_turn() {
    let required = || config(|config| config.on_failure = FailurePolicy::Required);
    let broken = Fake { failure: Some(RagErrorKind::Corrupt), ..Fake::default() };
    let (_fake, retrieval) = over(broken, required());
    let error = retrieval.retrieve(&request(), ROOM, &words).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("rag_corrupt", false));
    let (_fake, retrieval) = over(Fake { delay_ms: 60_000, ..Fake::default() }, required());
    let error = retrieval.retrieve(&request(), ROOM, &words).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("rag_timeout", true));
}

#[tokio::test(start_paused = true)]
async fn one_index_that_fails_does_not_silence_the_other() {
    let broken = Fake { failure: Some(RagErrorKind::Unavailable), ..Fake::default() };
    let (_fake, retrieval) = over(broken, RetrievalConfig::default());
    let sound = Fake { found: vec![snippet("a", 0.8)], ..Fake::default() };
    let retrieval = retrieval.with_index("sound", Arc::new(sound));
    let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
    assert_eq!(names(&retrieved.snippets), ["a"]);
    assert_eq!(retrieved.failures[0].code, "rag_unavailable");
}

#[tokio::test(start_paused = true)]
async fn indexes_are_asked_at_once_and_fused() {
    let lists =
        [vec![snippet("a", 0.5), snippet("b", 0.5)], vec![snippet("b", 0.9), snippet("c", 0.4)]];
    let [first, second] = lists.map(|found| Fake { found, delay_ms: 1_500, ..Fake::default() });
    let (_fake, retrieval) = over(first, RetrievalConfig::default());
    let retrieval = retrieval.with_index("second", Arc::new(second));
    let start = tokio::time::Instant::now();
    let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(1_500));
    assert_eq!(names(&retrieved.snippets), ["b", "a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_listed_with_its_reason() {
    let long = Snippet { text: "long ".repeat(900), ..snippet("long", 0.9) };
    let double = Snippet { text: "the text of a".to_owned(), ..snippet("double", 0.9) };
    let found = vec![snippet("a", 0.9), double, long, snippet("faint", 0.1), snippet("b", 0.4)];
    let (_fake, retrieval) = over(Fake { found, ..Fake::default() }, RetrievalConfig::default());
    let budget = Tokens::new(120);
    let retrieved = retrieval.retrieve(&request(), budget, &words).await.unwrap();
    assert_eq!(names(&retrieved.snippets), ["a", "b"]);
    assert!(words(&fence(&retrieved.snippets)) <= budget);
    let dropped: Vec<(&str, DropReason)> = retrieved
        .dropped
        .iter()
        .map(|dropped| (dropped.id.document.as_str(), dropped.reason))
        .collect();
    assert_eq!(
        dropped,
        [
            ("double", DropReason::Duplicate),
            ("faint", DropReason::BelowFloor),
            ("long", DropReason::OverBudget)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_after_doubles_were_dropped() {
    let found = (0..20).map(|n| snippet(&format!("d{n:02}"), 0.9)).collect();
    let (_fake, retrieval) = over(Fake { found, ..Fake::default() }, RetrievalConfig::default());
    let retrieved = retrieval.retrieve(&request().with_limit(3), ROOM, &words).await.unwrap();
    assert_eq!(names(&retrieved.snippets), ["d00", "d01", "d02"]);
}

#[tokio::test(start_paused = true)]
async fn searches_under_way_are_bounded() {
    let slow = Fake { delay_ms: 60_000, ..Fake::default() };
    let (fake, retrieval) = over(slow, config(|config| config.searches_max = 2));
    for _ in 0..5 {
        let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
        assert_eq!(retrieved.failures.len(), 1);
    }
    assert_eq!(fake.started.load(Ordering::SeqCst), 2);
    let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
    assert_eq!(retrieved.failures[0].code, "rag_busy");
    tokio::time::sleep(Duration::from_secs(61)).await;
    let retrieved = retrieval.retrieve(&request(), ROOM, &words).await.unwrap();
    assert_eq!(retrieved.failures[0].code, "rag_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_moot_request_asks_nobody() {
    let (fake, retrieval) = over(
        Fake { found: vec![snippet("a", 0.9)], ..Fake::default() },
        RetrievalConfig::default(),
    );
    let moot = [
        RetrievalRequest { query: " ?!\n".to_owned(), ..request() },
        request().with_limit(0),
        request().with_filter(DocumentFilter::documents([])),
        request().with_filter(DocumentFilter::collections([])),
    ];
    for request in moot {
        assert_eq!(retrieval.retrieve(&request, ROOM, &words).await.unwrap().snippets, []);
    }
    assert_eq!(retrieval.retrieve(&request(), Tokens::ZERO, &words).await.unwrap().snippets, []);
    assert_eq!(fake.started.load(Ordering::SeqCst), 0);
    let error = retrieval.retrieve(&request().with_limit(101), ROOM, &words).await.unwrap_err();
    assert_eq!(error.kind(), RagErrorKind::Invalid);
}

#[test]
fn settings_are_checked_and_unknown_ones_refused() {
    let read = |text: &str| serde_json::from_str::<RetrievalConfig>(text);
    assert_eq!(read("{}").unwrap(), RetrievalConfig::default());
    assert!(read(r#"{"floor":0.1}"#).is_err());
    for broken in [
        r#"{"deadline_ms":0}"#,
        r#"{"limit":101}"#,
        r#"{"score_min":1.5}"#,
        r#"{"searches_max":0}"#,
    ] {
        assert!(read(broken).unwrap().check().is_err(), "{broken}");
    }
}
