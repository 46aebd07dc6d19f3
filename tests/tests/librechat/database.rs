//! Fresh databases on the servers that the environment names, dropped at the end.

use mongodb::Client;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

/// A database that is there, or will be with the first write; gone when dropped.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Mongo,
    /// With the address of the database that others are made and dropped from.
    Postgres(String),
}

impl Database {
    pub(crate) fn mongo() -> Self {
        let server = server("CHAT_TEST_MONGO_URL");
        let name = name();
        let (address, query) = server.split_once('?').unwrap_or((&server, ""));
        let url = format!("{}/{name}?{query}", address.trim_end_matches('/'));
        Self { url, name, kind: Kind::Mongo }
    }

    pub(crate) fn postgres() -> Self {
        let server = server("CHAT_TEST_POSTGRES_URL");
        let name = name();
        runtime().block_on(execute(&server, format!("CREATE DATABASE {name}"))).unwrap();
        let (address, _database) = server.rsplit_once('/').unwrap();
        Self { url: format!("{address}/{name}"), name, kind: Kind::Postgres(server) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped: Result<(), Box<dyn std::error::Error>> = runtime().block_on(async {
            match &self.kind {
                Kind::Mongo => {
                    let client = Client::with_uri_str(&self.url).await?;
                    client.database(&self.name).drop().await?;
                }
                Kind::Postgres(server) => {
                    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                    execute(server, drop).await?;
                }
            }
            Ok(())
        });
        // A panic here would hide the test's own.
        if let Err(error) = dropped {
            println!("database {} stays behind: {error}", self.name);
        }
    }
}

async fn execute(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
    connection.close().await?;
    done.map(|_| ())
}

fn name() -> String {
    let random: String = std::iter::repeat_with(fastrand::lowercase).take(12).collect();
    format!("librechat_{random}")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set; run `cargo xtask services up`"))
}
