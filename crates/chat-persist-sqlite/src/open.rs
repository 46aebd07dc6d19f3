//! Opens the file: looks before it touches, and never overwrites what it cannot read.
//!
//! Order: the linked library, the file's first bytes, its pages, its owner and version, and only
//! then WAL and migrations.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};
use tokio::time::Instant;

use crate::SqliteConfig;
use crate::error::{EngineResult, Failure, FailureKind};
use crate::schema;
use crate::session::GUARD_SCHEMA;

/// What every SQLite 3 file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Pages in the WAL before a commit also moves them into the file: about 16 MiB, so that one
/// turn in a hundred pays for it instead of one in thirty.
const AUTOCHECKPOINT_PAGES: &str = "4000";

/// Statements kept prepared per connection; the store has fewer than this.
const STATEMENTS_KEPT: usize = 200;

/// Rows the driver may read ahead: a whole page of history without a thread switch.
const ROWS_AHEAD: usize = 512;

/// The pause between tries to switch a new file to WAL while another process does the same; the
/// switch does not wait for the busy timeout by itself.
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// An open file: the writer's connection, and how to open more.
pub(crate) struct Opened {
    pub(crate) writer: SqliteConnection,
    pub(crate) writer_options: SqliteConnectOptions,
    pub(crate) reader_options: SqliteConnectOptions,
}

pub(crate) async fn open(config: &SqliteConfig) -> EngineResult<Opened> {
    check_library().await?;
    look_at(&config.path)?;
    check_content(config).await?;
    let writer_options = writer_options(config);
    let give_up = Instant::now() + Duration::from_millis(u64::from(config.busy_timeout_ms));
    let writer = loop {
        match open_writer(&writer_options).await {
            Err(failure) if failure.kind == FailureKind::Busy && Instant::now() < give_up => {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            outcome => break outcome?,
        }
    };
    let reader_options = base_options(config).pragma("query_only", "1");
    Ok(Opened { writer, writer_options, reader_options })
}

fn base_options(config: &SqliteConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .busy_timeout(Duration::from_millis(u64::from(config.busy_timeout_ms)))
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .row_buffer_size(ROWS_AHEAD)
        // With a mapped file a disk error would be a signal and end the process.
        .pragma("mmap_size", "0")
        .pragma("cache_size", format!("-{}", config.cache_kib))
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

fn writer_options(config: &SqliteConfig) -> SqliteConnectOptions {
    let options = base_options(config)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", AUTOCHECKPOINT_PAGES);
    match config.max_page_count {
        Some(pages) => options.pragma("max_page_count", pages.to_string()),
        None => options,
    }
}

/// A connection that the writer can use: its schema for guarded programs is there.
pub(crate) async fn connect_writer(
    options: &SqliteConnectOptions,
) -> EngineResult<SqliteConnection> {
    let mut writer = options.connect().await?;
    sqlx::raw_sql(GUARD_SCHEMA).execute(&mut writer).await?;
    Ok(writer)
}

async fn open_writer(options: &SqliteConnectOptions) -> EngineResult<SqliteConnection> {
    let mut writer = connect_writer(options).await?;
    let row = sqlx::query(
        "SELECT (SELECT journal_mode FROM pragma_journal_mode),
                (SELECT synchronous FROM pragma_synchronous)",
    )
    .fetch_one(&mut writer)
    .await?;
    let (journal, synchronous): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    if journal != "wal" || synchronous < 2 {
        let detail = "the file system does not support WAL with full flushes; use a local disk";
        return Err(Failure::new(FailureKind::Unsupported, detail));
    }
    schema::migrate(&mut writer).await?;
    Ok(writer)
}

/// Refuses a library that may lose committed pages (the WAL reset race before 3.51.3).
async fn check_library() -> EngineResult<()> {
    let mut connection =
        SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(&mut connection).await?;
    let version: String = row.try_get(0)?;
    connection.close().await?;
    if is_sound(&version) {
        return Ok(());
    }
    let detail = format!(
        "the linked SQLite is {version}; 3.51.3 or later (or 3.50.7, 3.44.6) is needed, \
         earlier ones can lose commits"
    );
    Err(Failure::new(FailureKind::Unsupported, detail))
}

fn is_sound(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    match (next(), next(), next()) {
        (3, 44, patch) => patch >= 6,
        (3, 50, patch) => patch >= 7,
        (3, 51, patch) => patch >= 3,
        (major, minor, _) => (major, minor) > (3, 51),
    }
}

/// Refuses a file that does not begin like a database. A missing or empty one is fine.
fn look_at(path: &Path) -> EngineResult<()> {
    let unreadable = |error: std::io::Error| {
        let detail = format!("the database file cannot be read: {error}");
        Failure::new(FailureKind::Unavailable, detail)
    };
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut start = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(16).read_to_end(&mut start).map_err(unreadable)?;
    if start.is_empty() || start == MAGIC {
        return Ok(());
    }
    Err(Failure::corrupt("the file is not a SQLite database; it was left untouched"))
}

/// Reads the file's pages and marks before anything may be written to it.
async fn check_content(config: &SqliteConfig) -> EngineResult<()> {
    let length = std::fs::metadata(&config.path).map(|metadata| metadata.len()).unwrap_or(0);
    if length == 0 {
        return Ok(());
    }
    let mut connection = base_options(config).pragma("query_only", "1").connect().await?;
    let outcome = check_pages(&mut connection, length <= config.checked_bytes_max).await;
    let closed = connection.close().await;
    outcome?;
    closed?;
    Ok(())
}

async fn check_pages(connection: &mut SqliteConnection, all: bool) -> EngineResult<()> {
    schema::check(connection).await?;
    if !all {
        return Ok(());
    }
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(connection).await?;
    let verdict: String = row.try_get(0)?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Failure::corrupt("the database file is damaged; it was left untouched"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_with_the_wal_reset_race_are_refused() {
        for version in ["3.51.3", "3.52.0", "3.50.7", "3.44.6", "3.60.1", "4.0.0"] {
            assert!(is_sound(version), "{version}");
        }
        for version in ["3.51.2", "3.50.6", "3.49.9", "3.45.0", "3.44.5", "3.7.17", "?"] {
            assert!(!is_sound(version), "{version}");
        }
    }
}
