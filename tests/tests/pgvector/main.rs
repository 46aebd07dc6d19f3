//! The index of documents in PostgreSQL, on a server that has pgvector.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::str::FromStr as _;
use std::sync::Arc;

use chat_persist_postgres::{PostgresConfig, PostgresRag, PostgresStore};
use chat_rag::{
    Chunker, Document, Embedder as _, RagClient as _, RagErrorKind, RagIndex, RetrievalRequest,
};
use chat_testkit::{HashingEmbedder, RagHarness};
use chat_types::{FileId, Scope, TenantId, UserId};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _};

/// Names the server.
const VARIABLE: &str = "CHAT_TEST_PGVECTOR_URL";

/// A database of its own for each test, dropped with it.
struct Database {
    name: String,
    server: PgConnectOptions,
    url: String,
}

impl Database {
    async fn create() -> Self {
        let Ok(url) = std::env::var(VARIABLE) else {
            panic!("{VARIABLE} is not set: `cargo xtask test rag` sets it");
        };
        let server = PgConnectOptions::from_str(&url).expect("a URL").disable_statement_logging();
        let name = format!("chat_test_{:016x}", fastrand::u64(..));
        let mut shell = server.clone().connect().await.expect("connects");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut shell).await.expect("creates");
        let (address, _) = url.rsplit_once('/').expect("a database in the URL");
        Self { url: format!("{address}/{name}"), name, server }
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::open(PostgresConfig::new(&self.url)).await.expect("opens")
    }

    async fn index(&self) -> PostgresRag {
        self.index_of(HashingEmbedder::default()).await
    }

    async fn index_of(&self, embedder: HashingEmbedder) -> PostgresRag {
        let store = self.store().await;
        PostgresRag::open(store, Chunker::default(), Arc::new(embedder)).await.expect("opens")
    }

    async fn shell(&self) -> PgConnection {
        PgConnectOptions::from_str(&self.url).expect("a URL").connect().await.expect("connects")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // The test's own runtime may be gone, so this one has a thread of its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut shell = server.connect().await.map_err(std::io::Error::other)?;
                let dropping = sqlx::raw_sql(AssertSqlSafe(drop_it)).execute(&mut shell);
                dropping.await.map_err(std::io::Error::other)
            })
        });
        let is_dropped = dropped.join().is_ok_and(|dropped| dropped.is_ok());
        if !is_dropped && !std::thread::panicking() {
            panic!("the database {} was not dropped", self.name);
        }
    }
}

fn numbers(vector: &[f32]) -> String {
    vector.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn scope(user: &str) -> Scope {
    Scope::new(TenantId::new("acme").expect("valid"), UserId::new(user).expect("valid"))
}

fn document(id: &str, text: &str) -> Document {
    Document::new(FileId::new(id).expect("valid"), format!("{id}.txt"), text)
}

async fn open() -> RagHarness {
    let database = Database::create().await;
    let index: Arc<dyn RagIndex> = Arc::new(database.index().await);
    RagHarness::new(index).guarded_by(database)
}

chat_testkit::rag_suite!(open());

#[tokio::test]
async fn the_tables_are_made_only_when_the_index_is_opened() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut shell = database.shell().await;
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'rag\\_%' AND relkind = 'r'";
    let count: i64 = sqlx::query(tables).fetch_one(&mut shell).await.expect("reads").get(0);
    assert_eq!(count, 0);
    let open = || async {
        let embedder = Arc::new(HashingEmbedder::default());
        PostgresRag::open(store.clone(), Chunker::default(), embedder).await.expect("opens")
    };
    // Several processes open a new database together.
    tokio::join!(open(), open(), open());
    let count: i64 = sqlx::query(tables).fetch_one(&mut shell).await.expect("reads").get(0);
    assert_eq!(count, 5);
    drop(open().await);
}

#[tokio::test]
async fn a_newer_index_is_refused_and_left_alone() {
    let database = Database::create().await;
    drop(database.index().await);
    let mut shell = database.shell().await;
    let newer = "UPDATE chat.rag_schema SET version = 99";
    sqlx::query(newer).execute(&mut shell).await.expect("writes");
    let store = database.store().await;
    let embedder = Arc::new(HashingEmbedder::default());
    let error = PostgresRag::open(store, Chunker::default(), embedder).await.expect_err("refuses");
    assert_eq!(error.kind(), RagErrorKind::NewerSchema, "{error}");
}

#[tokio::test]
async fn vectors_of_another_model_are_not_compared() {
    let database = Database::create().await;
    let first = database.index().await;
    first.add(&scope("ada"), &document("a", "Organisation"), &|_| {}).await.expect("adds");
    let other = database.index_of(HashingEmbedder::named("other")).await;
    let ask = RetrievalRequest::new(scope("ada"), "organisation");
    let found = other.retrieve(&ask).await.expect("retrieves");
    assert_eq!(found.len(), 1, "by its words");
    let listed = other.list(&scope("ada"), None, 0).await.expect("lists");
    assert_eq!(listed.first().and_then(|info| info.embedding.as_deref()), Some("hashing-256"));
}

/// An owner with more chunks than are compared one by one is searched through the graph, which
/// finds nearly the same, beside an owner who has as many.
#[tokio::test]
async fn the_graph_finds_the_nearest_of_the_owner() {
    const CHUNKS: u32 = 22_000;
    let database = Database::create().await;
    let index = database.index().await;
    for user in ["ada", "bob"] {
        index.add(&scope(user), &document("seed", "Seed."), &|_| {}).await.expect("adds");
    }
    let mut shell = database.shell().await;
    // Chunks lie around what is asked for, near and far, as texts do; they are written beside the index for
    // speed, and so is the graph, which grows slowly row by row.
    let space = HashingEmbedder::default();
    let queries = ["kettle water", "bread oven flour", "piano", "roses in spring", "tax return"];
    let mut centres = Vec::new();
    for (number, query) in queries.iter().enumerate() {
        let vector = space.embed(&[query]).await.expect("embeds").remove(0);
        centres.push(format!("({number}, '{{{}}}'::REAL[])", numbers(&vector)));
    }
    let graph = "SELECT pg_get_indexdef('chat.rag_chunks_space_1'::REGCLASS)";
    let graph: String = sqlx::query(graph).fetch_one(&mut shell).await.expect("reads").get(0);
    let (count, centres) = (centres.len(), centres.join(", "));
    let fill = format!(
        "SET search_path = chat, public; SET maintenance_work_mem = '256MB'; SELECT setseed(0.5);
         CREATE TEMPORARY TABLE centres AS
         SELECT * FROM (VALUES {centres}) AS c (number, vector);
         DROP INDEX rag_chunks_space_1;
         INSERT INTO rag_chunks (owner, document, space, number, text, heading, first_byte,
                end_byte, first_line, last_line, words, embedding)
         SELECT d.owner, d.pk, d.space, n + 1, 'chunk ' || n, 'seed.txt', 0, 1, 1, 1,
                array_to_tsvector(ARRAY['o' || d.owner, 'n' || n]),
                (SELECT array_agg(c.vector[i] + s.spread * (random() - 0.5) ORDER BY i)
                   FROM generate_series(1, 256) i)::VECTOR
           FROM generate_series(1, {CHUNKS}) n CROSS JOIN rag_documents d
           CROSS JOIN LATERAL (SELECT random() * 0.4 AS spread WHERE n + d.pk > 0) s
           JOIN centres c ON c.number = n % {count};
         UPDATE rag_documents SET chunks = {CHUNKS} + 1; {graph}; ANALYZE rag_chunks"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut shell).await.expect("fills");
    let (mut shared, mut asked) = (0, 0);
    for query in queries {
        let vector = space.embed(&[query]).await.expect("embeds").remove(0);
        let exact = format!(
            "SELECT c.number FROM chat.rag_chunks c JOIN chat.rag_owners o ON o.pk = c.owner
              WHERE o.user_id = 'ada' ORDER BY c.embedding OPERATOR(public.<=>) '[{}]'::public.vector
              LIMIT 10",
            numbers(&vector)
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(exact)).fetch_all(&mut shell).await.expect("reads");
        let exact: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let request = RetrievalRequest::new(scope("ada"), query).with_limit(10);
        let found = index.retrieve(&request).await.expect("retrieves");
        assert_eq!(found.len(), 10);
        asked += exact.len();
        let has =
            |number: &&i64| found.iter().any(|snippet| i64::from(snippet.id.chunk) == **number);
        shared += exact.iter().filter(has).count();
    }
    println!("the graph found {shared} of the {asked} nearest");
    assert!(shared * 10 >= asked * 9, "{shared} of {asked}");
    let explain = "EXPLAIN SELECT pk FROM chat.rag_chunks WHERE space = 1
        ORDER BY (embedding::public.VECTOR(256)) OPERATOR(public.<=>) (
            SELECT embedding::public.VECTOR(256) FROM chat.rag_chunks LIMIT 1) LIMIT 10";
    let plan = sqlx::raw_sql(explain).fetch_all(&mut shell).await.expect("explains");
    let plan: String = plan.iter().map(|row| row.get::<String, _>(0) + "\n").collect();
    assert!(plan.contains("rag_chunks_space_1"), "{plan}");
}
