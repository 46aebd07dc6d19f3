//! The schema's versions, embedded, applied in order in one transaction.
//!
//! `PRAGMA application_id` says that a file is an index of ours, `PRAGMA user_version` which
//! version: a newer program's file or another program's is refused before anything is written.

use chat_rag::RagErrorKind;
use sqlx::{Row as _, SqliteConnection};

use crate::error::{EngineResult, Failure};

/// `crag` in ASCII: the mark of our files.
const APPLICATION_ID: i64 = 0x6372_6167;

const PROGRAMS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Brings the schema up to date. Two processes may do it at once: the second finds it done.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> EngineResult<()> {
    if missing(connection).await?.is_empty() {
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
    for program in missing(connection).await? {
        sqlx::raw_sql(*program).execute(&mut *connection).await?;
    }
    let marks = format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}",
        PROGRAMS.len()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(connection).await?;
    Ok(())
}

/// The programs that the file has not seen.
async fn missing(connection: &mut SqliteConnection) -> EngineResult<&'static [&'static str]> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id),
                (SELECT user_version FROM pragma_user_version),
                (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(connection)
    .await?;
    let (mark, version, tables): (i64, i64, i64) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if mark != APPLICATION_ID {
        return match (mark, version, tables) {
            (0, 0, 0) => Ok(PROGRAMS),
            _ => {
                let detail = "the file is another program's database; it was left untouched";
                Err(Failure::corrupt(detail))
            }
        };
    }
    let seen = usize::try_from(version).unwrap_or(usize::MAX);
    PROGRAMS.get(seen..).ok_or_else(|| {
        let detail = format!(
            "the index has schema version {version}, this program knows {}; use the newer \
             program, the file was left untouched",
            PROGRAMS.len()
        );
        Failure::new(RagErrorKind::NewerSchema, detail)
    })
}
