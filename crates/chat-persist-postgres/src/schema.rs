//! The schema's versions, embedded, applied in order in one transaction.
//!
//! A table `chat_schema` of one row counts them and says that the schema is ours, so the schema of a
//! newer program or of another one is known before anything is written. Processes that open a new
//! database together take turns by an advisory lock.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::error::{EngineResult, Failure, FailureKind};

struct Migration {
    version: i32,
    programs: &'static [&'static str],
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        programs: &[
            include_str!("../migrations/0001_first.sql"),
            include_str!("../migrations/0001_moves.sql"),
        ],
    },
    Migration { version: 2, programs: &[include_str!("../migrations/0002_grants.sql")] },
    Migration { version: 3, programs: &[include_str!("../migrations/0003_notices.sql")] },
    Migration { version: 4, programs: &[include_str!("../migrations/0004_tiers.sql")] },
    Migration { version: 5, programs: &[include_str!("../migrations/0005_summaries.sql")] },
];

/// How long one process waits for another that migrates.
const MIGRATION_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '60s'";

/// A migration takes as long as it takes.
const MIGRATION_STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = 0";

/// The version this program writes.
fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Brings `schema` up to date. The second of two processes finds it done.
pub(crate) async fn migrate(connection: &mut PgConnection, schema: &str) -> EngineResult<()> {
    if check(connection, schema).await? == newest() {
        return Ok(());
    }
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    let outcome = apply(connection, schema).await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sqlx::query(end).execute(connection).await;
    outcome?;
    ended?;
    Ok(())
}

/// The version that is there, 0 for none. Refuses what is not ours or newer than we are; reads
/// only.
async fn check(connection: &mut PgConnection, schema: &str) -> EngineResult<i32> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE c.relname = 'chat_schema'), count(*)
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = $1",
    )
    .bind(schema)
    .fetch_one(&mut *connection)
    .await?;
    let (marks, tables): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if marks == 0 && tables == 0 {
        return Ok(0);
    }
    if marks == 0 {
        let detail = format!(
            "the schema {schema} holds another program's tables and was left untouched; \
             name another schema"
        );
        return Err(Failure::corrupt(detail));
    }
    let version: i32 =
        sqlx::query("SELECT version FROM chat_schema").fetch_one(connection).await?.try_get(0)?;
    if version > newest() {
        let detail = format!(
            "the database has schema version {version}, this program knows {}; \
             use the newer program, it was left untouched",
            newest()
        );
        return Err(Failure::new(FailureKind::NewerSchema, detail));
    }
    Ok(version)
}

async fn apply(connection: &mut PgConnection, schema: &str) -> EngineResult<()> {
    sqlx::query(MIGRATION_LOCK_TIMEOUT).execute(&mut *connection).await?;
    sqlx::query(MIGRATION_STATEMENT_TIMEOUT).execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("chat migration of {schema}"))
        .execute(&mut *connection)
        .await?;
    let version = check(connection, schema).await?;
    if version == newest() {
        return Ok(());
    }
    if version == 0 {
        // The name was checked to be a plain one.
        let create = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
        sqlx::raw_sql(
            "CREATE TABLE chat_schema (version INT NOT NULL); INSERT INTO chat_schema VALUES (0)",
        )
        .execute(&mut *connection)
        .await?;
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        for program in migration.programs {
            sqlx::raw_sql(*program).execute(&mut *connection).await?;
        }
        sqlx::query("UPDATE chat_schema SET version = $1")
            .bind(migration.version)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
