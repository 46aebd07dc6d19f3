//! What a file can do to an index: other processes, other programs, damage, other models.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::path::Path;
use std::sync::Arc;

use chat_rag::{
    AddOutcome, Document, Embedder, RagClient, RagErrorKind, RagIndex, RetrievalRequest, Snippet,
};
use chat_rag_local::{LocalRag, LocalRagConfig};
use chat_testkit::HashingEmbedder;
use chat_types::{FileId, Scope, TenantId, UserId};

fn scope(user: &str) -> Scope {
    Scope::new(TenantId::new("acme").unwrap(), UserId::new(user).unwrap())
}

fn document(id: &str, text: &str) -> Document {
    Document::new(FileId::new(id).unwrap(), format!("{id}.txt"), text)
}

async fn open(path: &Path) -> LocalRag {
    open_with(path, Some(Arc::new(HashingEmbedder::default()))).await
}

async fn open_with(path: &Path, embedder: Option<Arc<dyn Embedder>>) -> LocalRag {
    LocalRag::open(LocalRagConfig::new(path), embedder).await.unwrap()
}

async fn add(index: &LocalRag, user: &str, id: &str, text: &str) -> AddOutcome {
    index.add(&scope(user), &document(id, text), &|_| {}).await.unwrap().outcome
}

async fn ask(index: &LocalRag, user: &str, query: &str) -> Vec<Snippet> {
    index.retrieve(&RetrievalRequest::new(scope(user), query)).await.unwrap()
}

fn ids(snippets: &[Snippet]) -> Vec<String> {
    snippets.iter().map(|snippet| snippet.id.to_string()).collect()
}

#[tokio::test]
async fn what_another_handle_wrote_is_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rag.db");
    let (first, second) = (open(&path).await, open(&path).await);
    add(&first, "ada", "a", "The kettle is hot.").await;
    // Both have the vectors of this moment in memory.
    assert_eq!(ids(&ask(&first, "ada", "kettle").await), ["a#1"]);
    assert_eq!(ids(&ask(&second, "ada", "kettle").await), ["a#1"]);
    add(&second, "ada", "b", "Another kettle is cold.").await;
    assert_eq!(ask(&first, "ada", "kettle").await.len(), 2);
    second.remove(&scope("ada"), &FileId::new("a").unwrap()).await.unwrap();
    assert_eq!(ids(&ask(&first, "ada", "kettle").await), ["b#1"]);
    add(&second, "ada", "b", "Nothing of that kind any more.").await;
    assert_eq!(ids(&ask(&first, "ada", "kettle").await), [""; 0]);
}

#[tokio::test]
async fn an_index_is_as_it_was_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rag.db");
    let index = open(&path).await;
    add(&index, "ada", "a", &"The kettle is hot. ".repeat(100)).await;
    let before = ask(&index, "ada", "hot kettle").await;
    index.close().await;
    let closed = index.retrieve(&RetrievalRequest::new(scope("ada"), "kettle")).await;
    assert_eq!(closed.unwrap_err().kind(), RagErrorKind::Unavailable);
    index.close().await;
    let index = open(&path).await;
    assert_eq!(ask(&index, "ada", "hot kettle").await, before);
    assert_eq!(
        add(&index, "ada", "a", &"The kettle is hot. ".repeat(100)).await,
        AddOutcome::Unchanged
    );
}

#[tokio::test]
async fn vectors_of_another_model_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rag.db");
    let index = open(&path).await;
    add(&index, "ada", "a", "The kettle is hot.").await;
    index.close().await;

    let other = Arc::new(HashingEmbedder::named("other"));
    let index = open_with(&path, Some(other)).await;
    let listed = index.list(&scope("ada"), None, 0).await.unwrap();
    assert_eq!(listed[0].embedding.as_deref(), Some("hashing-256"));
    // Found by its words all the same.
    assert_eq!(ids(&ask(&index, "ada", "kettle").await), ["a#1"]);
    assert_eq!(add(&index, "ada", "a", "The kettle is hot.").await, AddOutcome::Replaced);
    let listed = index.list(&scope("ada"), None, 0).await.unwrap();
    assert_eq!(listed[0].embedding.as_deref(), Some("other"));
}

#[tokio::test]
async fn vectors_find_what_words_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rag.db");
    let index = open(&path).await;
    // The full text strips no such ending, the embedder does: only the vectors agree.
    add(&index, "ada", "a", "Organisation").await;
    assert_eq!(ids(&ask(&index, "ada", "organising").await), ["a#1"]);
    index.close().await;
    let words_only = open_with(&path, None).await;
    assert_eq!(add(&words_only, "ada", "b", "An unrelated text.").await, AddOutcome::New);
    assert_eq!(ids(&ask(&words_only, "ada", "zebra").await), [""; 0]);
}

#[tokio::test]
async fn an_owner_with_more_vectors_than_fit_is_answered_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rag.db");
    let index = open(&path).await;
    for n in 0..1_200 {
        let text = format!("Text number{n} speaks of thing{} and thing{}.", n % 17, n % 29);
        add(&index, "ada", &format!("d-{n}"), &text).await;
    }
    let config = LocalRagConfig::new(&path).with_vector_bytes_max(0);
    let keeps_nothing =
        LocalRag::open(config, Some(Arc::new(HashingEmbedder::default()))).await.unwrap();
    for query in ["thing3 and thing4", "number77", "texts that speak of thing28"] {
        let found = ask(&index, "ada", query).await;
        assert_eq!(found.len(), 8);
        assert_eq!(ask(&keeps_nothing, "ada", query).await, found, "{query}");
    }
}

#[tokio::test]
async fn accents_are_folded() {
    let folder = tempfile::tempdir().unwrap();
    let index = open_with(&folder.path().join("rag.db"), None).await;
    add(&index, "ada", "a", "Der Kaffee für Zoë im Café, cafe\u{301} crème.").await;
    for query in ["cafe", "CAFÉ", "creme", "zoe", "fur"] {
        assert_eq!(ids(&ask(&index, "ada", query).await), ["a#1"], "{query}");
    }
}

#[tokio::test]
async fn foreign_and_damaged_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "This is a text of mine, not a database.").unwrap();
    let error = LocalRag::open(LocalRagConfig::new(&text), None).await.unwrap_err();
    assert_eq!(error.kind(), RagErrorKind::Corrupt);
    assert_eq!(std::fs::read(&text).unwrap(), b"This is a text of mine, not a database.");

    let missing = folder.path().join("no/such/folder/rag.db");
    let error = LocalRag::open(LocalRagConfig::new(&missing), None).await.unwrap_err();
    assert_eq!(error.kind(), RagErrorKind::Unavailable);
    assert!(!missing.exists());

    let damaged = folder.path().join("damaged.db");
    let index = open(&damaged).await;
    add(&index, "ada", "a", &"The kettle is hot. ".repeat(2_000)).await;
    index.close().await;
    let mut bytes = std::fs::read(&damaged).unwrap();
    for byte in bytes.iter_mut().skip(4_096) {
        *byte = 0xa5;
    }
    std::fs::write(&damaged, &bytes).unwrap();
    let error = match LocalRag::open(LocalRagConfig::new(&damaged), None).await {
        Ok(index) => {
            index.retrieve(&RetrievalRequest::new(scope("ada"), "kettle")).await.unwrap_err()
        }
        Err(error) => error,
    };
    assert_eq!(error.kind(), RagErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn chunks_that_the_embedder_cannot_read_whole_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = LocalRagConfig::new(folder.path().join("rag.db"));
    config.chunk_tokens_max = 500;
    let error =
        LocalRag::open(config, Some(Arc::new(HashingEmbedder::default()))).await.unwrap_err();
    assert_eq!(error.kind(), RagErrorKind::Invalid);
    assert!(error.to_string().contains("lower chunk_tokens_max"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_and_additions_at_once_see_whole_documents() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(&folder.path().join("rag.db")).await;
    let text =
        |n: usize| format!("Version number{n} of the kettle text goes on and on. ").repeat(40);
    add(&index, "ada", "d", &text(0)).await;
    let mut writer = tokio::task::JoinSet::new();
    let writing = index.clone();
    writer.spawn(async move {
        for n in 1..30 {
            add(&writing, "ada", "d", &text(n)).await;
        }
    });
    while writer.try_join_next().is_none() {
        let request = RetrievalRequest::new(scope("ada"), "kettle text").with_limit(100);
        let found = index.retrieve(&request).await.unwrap();
        let versions: std::collections::BTreeSet<&str> = found
            .iter()
            .filter_map(|snippet| snippet.text.split(' ').find(|word| word.starts_with("number")))
            .collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
}
