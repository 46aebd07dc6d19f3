//! Opens the file: looks before it touches, and never overwrites what it cannot read.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use chat_rag::RagErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::time::Instant;

use crate::LocalRagConfig;
use crate::error::{EngineResult, Failure};
use crate::schema;

/// What every SQLite 3 file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Rows the driver may read ahead: vectors of many documents without a thread switch each.
const ROWS_AHEAD: usize = 256;

/// The pause between tries to switch a new file to WAL while another process does the same; the
/// switch does not wait for the busy timeout by itself.
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// How connections are opened.
pub(crate) struct Opened {
    pub(crate) writer: SqliteConnection,
    pub(crate) writer_options: SqliteConnectOptions,
    pub(crate) reader_options: SqliteConnectOptions,
}

pub(crate) async fn open(config: &LocalRagConfig) -> EngineResult<Opened> {
    look_at(&config.path)?;
    let patience = Duration::from_millis(u64::from(config.busy_timeout_ms));
    let base = SqliteConnectOptions::new()
        .filename(&config.path)
        .busy_timeout(patience)
        .foreign_keys(true)
        .row_buffer_size(ROWS_AHEAD)
        // With a mapped file a disk error would be a signal and end the process.
        .pragma("mmap_size", "0")
        .pragma("cache_size", format!("-{}", config.cache_kib))
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let reader_options = base.clone().pragma("query_only", "1");
    // An index can be made again from its documents: a power cut may take the last addition back,
    // never half of it.
    let writer_options = base
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let give_up = Instant::now() + patience;
    loop {
        match open_writer(&writer_options).await {
            Err(failure)
                if failure.kind == RagErrorKind::Unavailable
                    && !failure.lost_connection()
                    && config.path.exists()
                    && Instant::now() < give_up =>
            {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            outcome => {
                let writer = outcome?;
                return Ok(Opened { writer, writer_options, reader_options });
            }
        }
    }
}

async fn open_writer(options: &SqliteConnectOptions) -> EngineResult<SqliteConnection> {
    let mut writer = options.connect().await?;
    schema::migrate(&mut writer).await?;
    Ok(writer)
}

/// Refuses a file that does not begin like a database. A missing or empty one is fine.
fn look_at(path: &Path) -> EngineResult<()> {
    let unreadable = |error: std::io::Error| {
        let detail = format!("the index file {} cannot be read: {error}", path.display());
        Failure::new(RagErrorKind::Unavailable, detail)
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
    let detail = format!("{} is not a SQLite database; it was left untouched", path.display());
    Err(Failure::corrupt(detail))
}
