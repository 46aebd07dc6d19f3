//! A database of its own for each test, dropped when the test ends, also when it fails.

use std::str::FromStr as _;

use chat_persist_postgres::{PostgresConfig, PostgresStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// Names the server that tests may use.
const VARIABLE: &str = "CHAT_TEST_POSTGRES_URL";

/// One database.
pub(crate) struct Database {
    name: String,
    server: String,
}

impl Database {
    /// Creates an empty one.
    pub(crate) async fn create() -> Self {
        let Ok(server) = std::env::var(VARIABLE) else {
            panic!(
                "{VARIABLE} is not set: run `cargo xtask services up` and export what it prints"
            );
        };
        let name = format!("chat_test_{:016x}", fastrand::u64(..));
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        let mut shell = shell_at(&server).await;
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut shell).await.expect("creates");
        shell.close().await.expect("closes");
        Self { name, server }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        let (address, parameters) = match self.server.split_once('?') {
            Some((address, parameters)) => (address, format!("?{parameters}")),
            None => (self.server.as_str(), String::new()),
        };
        let start = address.find("://").map_or(0, |place| place + 3);
        let end = address[start..].find('/').map_or(address.len(), |place| start + place);
        format!("{}/{}{parameters}", &address[..end], self.name)
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::new(self.url())
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::open(self.config()).await.expect("opens")
    }
}

/// A connection beside the store: another program, or the operator's shell.
pub(crate) async fn shell_at(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a URL");
    options.disable_statement_logging().connect().await.expect("a shell")
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // The test's own runtime may be gone, so this one has a thread of its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let options = PgConnectOptions::from_str(&server).map_err(std::io::Error::other)?;
                let mut shell = options.connect().await.map_err(std::io::Error::other)?;
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
