//! A fresh database on the server that the environment names, dropped at the end.

use std::sync::Arc;

use chat_persist_postgres::{PostgresConfig, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Names the server.
const VARIABLE: &str = "CHAT_TEST_POSTGRES_URL";

/// Drops its database when the test is over.
#[derive(Debug)]
pub(crate) struct Fresh {
    server: String,
    pub(crate) url: String,
    name: String,
}

impl Fresh {
    /// A database of a new name; nothing is in it.
    pub(crate) async fn new() -> Self {
        let server = std::env::var(VARIABLE)
            .unwrap_or_else(|_| panic!("{VARIABLE} is not set; run `cargo xtask services up`"));
        let random: String = std::iter::repeat_with(|| fastrand::char('a'..='z')).take(12).collect();
        let name = format!("test_{random}");
        let (address, query) = server.split_once('?').unwrap_or((&server, ""));
        let (host, _database) = address.rsplit_once('/').expect("a URL with a database");
        let url = format!("{host}/{name}?{query}");
        execute(&server, format!("CREATE DATABASE {name}")).await.expect("may create databases");
        Self { server, url, name }
    }

    /// Opens a store on it.
    pub(crate) async fn open(&self) -> Arc<PostgresStore> {
        let store = PostgresStore::open(PostgresConfig::new(&self.url)).await;
        Arc::new(store.expect("the server answers and takes our schema"))
    }
}

/// Runs one statement on a connection of its own, as another program would.
pub(crate) async fn execute(url: &str, statement: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let outcome = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
    connection.close().await?;
    outcome.map(|_| ())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let drop = execute(&self.server, statement);
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                if let Err(error) = drop.await {
                    eprintln!("database {} stays behind: {error}", self.name);
                }
            });
        });
    }
}
