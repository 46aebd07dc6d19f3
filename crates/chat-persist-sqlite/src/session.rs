//! The writer's transaction as a command sees it, with as few thread switches as possible.
//!
//! Every statement sent to the driver switches to its thread and back, which costs more than most
//! statements. So `BEGIN` travels with the first query of a group and `COMMIT` with its last
//! program; commands that are not on the path of a turn need not care.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection};

use crate::error::EngineResult;

/// A program alone, behind the beginning, and before the end of a transaction.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) alone: &'static str,
    pub(crate) beginning: &'static str,
    pub(crate) ending: &'static str,
}

/// Makes a [`Program`] of string literals.
macro_rules! fused {
    ($($text:tt)+) => {
        $crate::session::Program {
            alone: concat!($($text)+),
            beginning: concat!("BEGIN IMMEDIATE; ", $($text)+),
            ending: concat!($($text)+, "; COMMIT"),
        }
    };
}
pub(crate) use fused;

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

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
        Self {
            connection,
            has_begun: false,
            is_last: false,
            has_ended: false,
        }
    }

    /// The connection, inside the transaction.
    pub(crate) async fn connection(&mut self) -> EngineResult<&mut SqliteConnection> {
        if !self.has_begun {
            sqlx::query("BEGIN IMMEDIATE")
                .execute(&mut *self.connection)
                .await?;
            self.has_begun = true;
        }
        Ok(self.connection)
    }

    /// The text for a command's first query; run it with [`Session::load`].
    pub(crate) fn first(&self, program: &Program) -> &'static str {
        if self.has_begun {
            program.alone
        } else {
            program.beginning
        }
    }

    pub(crate) async fn load(&mut self, query: Bound<'_>) -> EngineResult<Vec<SqliteRow>> {
        let rows = query.fetch_all(&mut *self.connection).await?;
        self.has_begun = true;
        Ok(rows)
    }

    /// The text for a command's last program, after at least one query; run it with
    /// [`Session::save`] and touch nothing afterwards.
    pub(crate) fn last(&self, program: &Program) -> &'static str {
        if self.is_last {
            program.ending
        } else {
            program.alone
        }
    }

    pub(crate) async fn save(&mut self, query: Bound<'_>) -> EngineResult<()> {
        query.execute(&mut *self.connection).await?;
        self.has_ended = self.is_last;
        Ok(())
    }

    /// Commits, unless the last command has.
    pub(crate) async fn end(&mut self) -> EngineResult<()> {
        if self.has_begun && !self.has_ended {
            sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}
