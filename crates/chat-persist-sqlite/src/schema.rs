//! The schema's versions, embedded, applied in order in one transaction each.
//!
//! `PRAGMA user_version` counts them and `PRAGMA application_id` says that the file is ours, so a
//! file of a newer program or of another one is known before anything is written.

use sqlx::{Row as _, SqliteConnection};

use crate::error::{EngineResult, Failure, FailureKind};

/// `chat` in ASCII: the mark of our files.
const APPLICATION_ID: i64 = 0x6368_6174;

struct Migration {
    version: i64,
    program: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, program: include_str!("../migrations/0001_first.sql") },
    Migration { version: 2, program: include_str!("../migrations/0002_files.sql") },
    Migration { version: 3, program: include_str!("../migrations/0003_grants.sql") },
    Migration { version: 4, program: include_str!("../migrations/0004_notices.sql") },
    Migration { version: 5, program: include_str!("../migrations/0005_tiers.sql") },
    Migration { version: 6, program: include_str!("../migrations/0006_summaries.sql") },
];

/// The version this program writes.
fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Refuses a file that is not ours or newer than we are. Reads only.
pub(crate) async fn check(connection: &mut SqliteConnection) -> EngineResult<i64> {
    let (application_id, version, tables) = marks(connection).await?;
    if application_id == APPLICATION_ID && version > newest() {
        let detail = format!(
            "the file has schema version {version}, this program knows {}; \
             use the newer program, the file was left untouched",
            newest()
        );
        return Err(Failure::new(FailureKind::NewerSchema, detail));
    }
    if application_id != APPLICATION_ID && (tables > 0 || version != 0 || application_id != 0) {
        let detail = "the file is another program's database; it was left untouched";
        return Err(Failure::corrupt(detail));
    }
    Ok(version)
}

/// Brings the schema up to date. Two processes may do it at once: the second finds it done.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> EngineResult<()> {
    if check(connection).await? == newest() {
        return Ok(());
    }
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let outcome = apply(connection).await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sqlx::query(end).execute(connection).await;
    outcome?;
    ended?;
    Ok(())
}

async fn apply(connection: &mut SqliteConnection) -> EngineResult<()> {
    let version = check(connection).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        sqlx::raw_sql(migration.program).execute(&mut *connection).await?;
    }
    let marks =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}", newest());
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(connection).await?;
    Ok(())
}

async fn marks(connection: &mut SqliteConnection) -> EngineResult<(i64, i64, i64)> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id),
                (SELECT user_version FROM pragma_user_version),
                (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}
