//! Opens the store: looks at the server and its settings before anything is created.

use sqlx::{Connection as _, PgConnection, Row as _};

use crate::PostgresConfig;
use crate::error::{EngineResult, Failure, FailureKind};
use crate::pool::Pool;
use crate::schema;

/// PostgreSQL 13: the oldest version that is still around, and the first whose partitioned tables
/// do all that ours need.
const SERVER_VERSION_MIN: i32 = 130_000;

/// An open store.
pub(crate) struct Opened {
    pub(crate) pool: Pool,
    /// Why no money may be booked here, if so.
    pub(crate) unsafe_setting: Option<String>,
}

pub(crate) async fn open(config: &PostgresConfig) -> EngineResult<Opened> {
    let pool = Pool::new(config)?;
    let mut connection = pool.connect().await?;
    match prepare(&mut connection, config).await {
        Ok(unsafe_setting) => {
            pool.give_back(connection);
            Ok(Opened { pool, unsafe_setting })
        }
        Err(failure) => {
            // The refusal is the answer; a goodbye that fails changes nothing.
            let _ = connection.close().await;
            Err(failure)
        }
    }
}

async fn prepare(
    connection: &mut PgConnection,
    config: &PostgresConfig,
) -> EngineResult<Option<String>> {
    let server = Server::read(connection).await?;
    server.check()?;
    schema::migrate(connection, &config.schema).await?;
    Ok(server.unsafe_setting())
}

/// What the server says of itself on this connection.
struct Server {
    version: i32,
    encoding: String,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
}

impl Server {
    async fn read(connection: &mut PgConnection) -> EngineResult<Self> {
        let row = sqlx::query(
            "SELECT current_setting('server_version_num')::INT, current_setting('server_encoding'),
                    current_setting('fsync'), current_setting('full_page_writes'),
                    current_setting('synchronous_commit')",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self {
            version: row.try_get(0)?,
            encoding: row.try_get(1)?,
            fsync: row.try_get(2)?,
            full_page_writes: row.try_get(3)?,
            synchronous_commit: row.try_get(4)?,
        })
    }

    fn check(&self) -> EngineResult<()> {
        if self.version < SERVER_VERSION_MIN {
            let detail = format!(
                "the server is PostgreSQL {}; 13 or later is needed",
                self.version.checked_div(10_000).unwrap_or(0)
            );
            return Err(Failure::new(FailureKind::Unsupported, detail));
        }
        if self.encoding != "UTF8" {
            let detail = format!(
                "the database keeps text as {}; create one with ENCODING 'UTF8'",
                self.encoding
            );
            return Err(Failure::new(FailureKind::Unsupported, detail));
        }
        Ok(())
    }

    /// The first setting with which an acknowledged commit can be lost.
    fn unsafe_setting(&self) -> Option<String> {
        let unsafe_setting = |name: &str, value: &str| {
            Some(format!(
                "the server runs with {name} = {value} and can lose what it has acknowledged; \
                 set it to on before money is booked"
            ))
        };
        if self.fsync != "on" {
            return unsafe_setting("fsync", &self.fsync);
        }
        if self.full_page_writes != "on" {
            return unsafe_setting("full_page_writes", &self.full_page_writes);
        }
        if !matches!(self.synchronous_commit.as_str(), "on" | "remote_apply") {
            return unsafe_setting("synchronous_commit", &self.synchronous_commit);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            version: 150_004,
            encoding: "UTF8".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
        }
    }

    #[test]
    fn an_unsafe_setting_is_named() {
        assert_eq!(server().unsafe_setting(), None);
        let off = || "off".to_owned();
        for (server, name) in [
            (Server { fsync: off(), ..server() }, "fsync = off"),
            (Server { full_page_writes: off(), ..server() }, "full_page_writes = off"),
            (Server { synchronous_commit: off(), ..server() }, "synchronous_commit = off"),
            (
                Server { synchronous_commit: "local".to_owned(), ..server() },
                "synchronous_commit = local",
            ),
        ] {
            let detail = server.unsafe_setting();
            assert!(detail.as_ref().is_some_and(|detail| detail.contains(name)), "{detail:?}");
        }
    }

    #[test]
    fn an_old_server_or_another_encoding_is_refused() {
        assert!(server().check().is_ok());
        let refused = Server { version: 120_022, ..server() }.check();
        assert_eq!(refused.err().map(|failure| failure.kind), Some(FailureKind::Unsupported));
        let refused = Server { encoding: "SQL_ASCII".to_owned(), ..server() }.check();
        assert_eq!(refused.err().map(|failure| failure.kind), Some(FailureKind::Unsupported));
    }
}
