//! Which server, which schema, and how long to wait for it; every number says why.
//!
//! What is not here cannot be set: READ COMMITTED and the checks at start are promises.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::error::{EngineResult, Failure, FailureKind};

/// The longest name of a schema: what the engine keeps of an identifier.
const SCHEMA_CHARS_MAX: usize = 63;

/// What a URL may set beside user, password, host, port and database.
const URL_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Settings of one PostgreSQL store. The URL may hold a password: it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`.
    url: String,
    /// The schema that holds our tables; created if missing. Another program's schemas are left
    /// alone. Small letters, digits and `_`.
    #[serde(default = "schema")]
    pub schema: String,
    /// Connections, and with them operations at work at once; the rest waits in line. Sixteen keep
    /// a small server busy and leave room for six processes under its usual limit of 100.
    #[serde(default = "connections_max")]
    pub connections_max: u32,
    /// How long an operation waits in line for a connection. Ten seconds outlast a restart of the
    /// server; a longer line is overload.
    #[serde(default = "acquire_timeout_ms")]
    pub acquire_timeout_ms: u32,
    /// How long opening a connection may take; over an ocean it takes less than a second.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// How long one statement may take. Hot statements take about a millisecond; the long ones,
    /// a page of an audit or 500 imported messages, far less than half a minute.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u32,
    /// How long a statement waits for another writer's lock. Locks are held for one commit; who
    /// holds one for five seconds is stuck.
    #[serde(default = "lock_timeout_ms")]
    pub lock_timeout_ms: u32,
    /// How long the server lets a transaction of a frozen process hold its locks. Twice the
    /// longest pause seen between two statements of one operation, so that a lease can lapse.
    #[serde(default = "idle_in_transaction_timeout_ms")]
    pub idle_in_transaction_timeout_ms: u32,
    /// How long one run of an operation may take before its connection is given up, for a network
    /// that swallows everything. Two statement timeouts.
    #[serde(default = "operation_timeout_ms")]
    pub operation_timeout_ms: u32,
    /// How long a connection may lie unused before it is closed. Ten minutes are below what
    /// firewalls and proxies forget.
    #[serde(default = "idle_connection_timeout_ms")]
    pub idle_connection_timeout_ms: u32,
}

fn schema() -> String {
    "chat".to_owned()
}

const fn connections_max() -> u32 {
    16
}

const fn acquire_timeout_ms() -> u32 {
    10_000
}

const fn connect_timeout_ms() -> u32 {
    5_000
}

const fn statement_timeout_ms() -> u32 {
    30_000
}

const fn lock_timeout_ms() -> u32 {
    5_000
}

const fn idle_in_transaction_timeout_ms() -> u32 {
    10_000
}

const fn operation_timeout_ms() -> u32 {
    60_000
}

const fn idle_connection_timeout_ms() -> u32 {
    600_000
}

impl PostgresConfig {
    /// The defaults for the database at `url`, `postgres://…` or `postgresql://…`. Checked when
    /// the store is opened.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: schema(),
            connections_max: connections_max(),
            acquire_timeout_ms: acquire_timeout_ms(),
            connect_timeout_ms: connect_timeout_ms(),
            statement_timeout_ms: statement_timeout_ms(),
            lock_timeout_ms: lock_timeout_ms(),
            idle_in_transaction_timeout_ms: idle_in_transaction_timeout_ms(),
            operation_timeout_ms: operation_timeout_ms(),
            idle_connection_timeout_ms: idle_connection_timeout_ms(),
        }
    }

    /// The same in another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The same with another number of connections.
    #[must_use]
    pub fn with_connections_max(mut self, connections_max: u32) -> Self {
        self.connections_max = connections_max;
        self
    }

    /// The same with another statement timeout.
    #[must_use]
    pub fn with_statement_timeout_ms(mut self, statement_timeout_ms: u32) -> Self {
        self.statement_timeout_ms = statement_timeout_ms;
        self
    }

    /// The same with another lock timeout.
    #[must_use]
    pub fn with_lock_timeout_ms(mut self, lock_timeout_ms: u32) -> Self {
        self.lock_timeout_ms = lock_timeout_ms;
        self
    }

    /// What the driver needs to connect.
    pub(crate) fn connect_options(&self) -> EngineResult<PgConnectOptions> {
        check_url(&self.url)?;
        check_schema(&self.schema)?;
        let options = PgConnectOptions::from_str(&self.url)?;
        Ok(options.statement_cache_capacity(STATEMENTS_KEPT).options([
            ("search_path", self.schema.clone()),
            ("default_transaction_isolation", "read committed".to_owned()),
            ("statement_timeout", self.statement_timeout_ms.to_string()),
            ("lock_timeout", self.lock_timeout_ms.to_string()),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction_timeout_ms.to_string(),
            ),
            // Every query has its index. Stale statistics of a young or fast-growing table must
            // not tempt the planner into reading, sorting or hashing all of it.
            ("enable_seqscan", "off".to_owned()),
            ("enable_bitmapscan", "off".to_owned()),
            ("enable_hashjoin", "off".to_owned()),
            ("enable_mergejoin", "off".to_owned()),
            ("enable_sort", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]))
    }
}

/// Statements kept prepared per connection; the store has fewer than this.
const STATEMENTS_KEPT: usize = 200;

fn unusable<T>(detail: impl Into<String>) -> EngineResult<T> {
    Err(Failure::new(FailureKind::Unsupported, detail))
}

/// Refuses what the driver would pass over in silence. Says no value: it could be a password.
fn check_url(url: &str) -> EngineResult<()> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return unusable("the database URL does not begin with postgres://");
    }
    let Some((_, query)) = url.split_once('?') else {
        return Ok(());
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or("");
        if !URL_PARAMETERS.contains(&name) && !name.starts_with("options[") {
            return unusable("the database URL has a parameter that is not known");
        }
    }
    Ok(())
}

fn check_schema(schema: &str) -> EngineResult<()> {
    let is_name = schema.len() <= SCHEMA_CHARS_MAX
        && !schema.starts_with("pg_")
        && schema.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_name {
        return Ok(());
    }
    unusable("a schema is named with small letters, digits and '_', and does not begin with pg_")
}

impl FromStr for PostgresConfig {
    type Err = chat_persist::PersistError;

    /// The defaults for a URL.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let config = Self::new(url);
        match config.connect_options() {
            Ok(_) => Ok(config),
            Err(failure) => Err(failure.persist("read database URL")),
        }
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &"(not shown)")
            .field("schema", &self.schema)
            .field("connections_max", &self.connections_max)
            .field("acquire_timeout_ms", &self.acquire_timeout_ms)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("lock_timeout_ms", &self.lock_timeout_ms)
            .field("idle_in_transaction_timeout_ms", &self.idle_in_transaction_timeout_ms)
            .field("operation_timeout_ms", &self.operation_timeout_ms)
            .field("idle_connection_timeout_ms", &self.idle_connection_timeout_ms)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://ada:s3cret@db.example:5433/chat?sslmode=verify-full";

    #[test]
    fn an_unknown_key_is_refused() {
        let json = format!(r#"{{"url":"{URL}","fsync":false}}"#);
        assert!(serde_json::from_str::<PostgresConfig>(&json).is_err());
        let json = format!(r#"{{"url":"{URL}"}}"#);
        let read = serde_json::from_str::<PostgresConfig>(&json);
        assert_eq!(read.ok(), Some(PostgresConfig::new(URL)));
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", PostgresConfig::new(URL));
        assert!(!shown.contains("s3cret") && !shown.contains("db.example"), "{shown}");
        let bad = [
            "postgres://ada:s3cret@db:port/chat",
            "mysql://ada:s3cret@db/chat",
            "postgres://ada@db/chat?pasword=s3cret",
            "postgres://ada:s3cret@db/chat?sslmode=s3cret",
        ];
        for url in bad {
            let error = url.parse::<PostgresConfig>().expect_err("is refused");
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(below) = source {
                text.push_str(&below.to_string());
                source = below.source();
            }
            // What the driver does not know as a mode is no password.
            if !url.contains("sslmode") {
                assert!(!text.contains("s3cret"), "{text}");
            }
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for schema in ["chat", "_a1", "tenant_42"] {
            assert!(check_schema(schema).is_ok(), "{schema}");
        }
        for schema in ["", "Chat", "a-b", "1a", "pg_chat", "a\"; DROP", &"a".repeat(64)] {
            assert!(check_schema(schema).is_err(), "{schema}");
        }
    }
}
