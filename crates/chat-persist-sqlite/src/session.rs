//! The writer's transaction as a command sees it, with as few thread switches as possible.
//!
//! Every statement sent to the driver switches to its thread and back, which costs more than most
//! statements. So `BEGIN` travels with the first program of a group and `COMMIT` with its last, and
//! a command on the path of a turn is one program that checks and writes at once: its first
//! statement changes a row only if every rule holds, [`guard`] stops the program if it did not, and
//! then the command reads, explains and writes step by step. Other commands need not care.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection};

use crate::error::EngineResult;

/// A program alone, behind the beginning, before the end, and between both.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) alone: &'static str,
    pub(crate) beginning: &'static str,
    pub(crate) ending: &'static str,
    pub(crate) whole: &'static str,
}

/// Makes a [`Program`] of string literals.
macro_rules! fused {
    ($($text:tt)+) => {
        $crate::session::Program {
            alone: concat!($($text)+),
            beginning: concat!("BEGIN IMMEDIATE; ", $($text)+),
            ending: concat!($($text)+, "; COMMIT"),
            whole: concat!("BEGIN IMMEDIATE; ", $($text)+, "; COMMIT"),
        }
    };
}
pub(crate) use fused;

/// What [`guard`] raises.
const MISSED: &str = "missed";

/// Gives the writer's connection the table that [`guard`] inserts into. It exists for this
/// connection only, nothing of it is in the file.
pub(crate) const GUARD_SCHEMA: &str = "CREATE TEMP VIEW misses AS SELECT NULL AS miss;
     CREATE TEMP TRIGGER a_miss INSTEAD OF INSERT ON misses
     BEGIN SELECT RAISE(ABORT, 'missed'); END";

/// A statement that ends a program run by [`Session::attempt`] if the statement before it has
/// changed nothing: neither what follows nor the `COMMIT` runs.
macro_rules! guard {
    () => {
        "; INSERT INTO misses SELECT NULL WHERE changes() = 0; "
    };
}
pub(crate) use guard;

/// A statement or program with its parameters.
pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// One transaction of the writer.
pub(crate) struct Session<'c> {
    connection: &'c mut SqliteConnection,
    pub(crate) has_begun: bool,
    /// The command at work is the group's last.
    pub(crate) is_last: bool,
    has_ended: bool,
}

impl<'c> Session<'c> {
    pub(crate) fn new(connection: &'c mut SqliteConnection) -> Self {
        Self { connection, has_begun: false, is_last: false, has_ended: false }
    }

    /// The connection, inside the transaction.
    pub(crate) async fn connection(&mut self) -> EngineResult<&mut SqliteConnection> {
        if !self.has_begun {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *self.connection).await?;
            self.has_begun = true;
        }
        Ok(self.connection)
    }

    /// The text for a command's first query; run it with [`Session::load`].
    pub(crate) fn first(&self, program: &Program) -> &'static str {
        if self.has_begun { program.alone } else { program.beginning }
    }

    pub(crate) async fn load(&mut self, query: Bound<'_>) -> EngineResult<Vec<SqliteRow>> {
        let rows = query.fetch_all(&mut *self.connection).await?;
        self.has_begun = true;
        Ok(rows)
    }

    /// The text for a command's last program, or its only one; run it with [`Session::save`] or
    /// [`Session::attempt`] and touch nothing afterwards, unless it missed.
    pub(crate) fn last(&self, program: &Program) -> &'static str {
        match (self.has_begun, self.is_last) {
            (true, false) => program.alone,
            (false, false) => program.beginning,
            (true, true) => program.ending,
            (false, true) => program.whole,
        }
    }

    pub(crate) async fn save(&mut self, query: Bound<'_>) -> EngineResult<()> {
        query.execute(&mut *self.connection).await?;
        self.has_begun = true;
        self.has_ended = self.is_last;
        Ok(())
    }

    /// Runs a program with a [`guard`]; none if it missed: then it has changed nothing, and the
    /// transaction goes on.
    pub(crate) async fn attempt(
        &mut self,
        query: Bound<'_>,
    ) -> EngineResult<Option<Vec<SqliteRow>>> {
        match query.fetch_all(&mut *self.connection).await {
            Ok(rows) => {
                self.has_begun = true;
                self.has_ended = self.is_last;
                Ok(Some(rows))
            }
            Err(sqlx::Error::Database(error)) if error.message() == MISSED => {
                self.has_begun = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Commits, unless the last command has.
    pub(crate) async fn end(&mut self) -> EngineResult<()> {
        if self.has_begun && !self.has_ended {
            sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}
