//! One run of an operation on one connection: alone, or in a transaction of several statements.
//!
//! A write of one statement commits by itself, in one round trip; the moves of a turn are functions
//! of the schema for that reason. Other writes [`Session::begin`] first and are committed by who
//! runs them. Both are READ COMMITTED: each statement sees what was committed before it began, and
//! what must not change meanwhile is locked.

use sqlx::PgConnection;

use crate::error::EngineResult;

/// What a write works with.
#[derive(Debug)]
pub(crate) struct Session {
    connection: PgConnection,
    has_begun: bool,
    is_undone: bool,
    is_repeat: bool,
}

impl Session {
    pub(crate) fn new(connection: PgConnection, is_repeat: bool) -> Self {
        Self { connection, has_begun: false, is_undone: false, is_repeat }
    }

    /// The connection for a write that is one statement, or for statements that only read.
    pub(crate) fn alone(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// The connection inside the transaction, which begins at the first call.
    pub(crate) async fn begin(&mut self) -> EngineResult<&mut PgConnection> {
        if !self.has_begun {
            sqlx::query("BEGIN").execute(&mut self.connection).await?;
            self.has_begun = true;
        }
        Ok(&mut self.connection)
    }

    /// Nothing of this run is to be kept, whatever it answers.
    pub(crate) fn undo(&mut self) {
        self.is_undone = true;
    }

    /// An earlier run of this same call may have been written without anybody hearing of it: what
    /// looks like somebody else's equal write is its own.
    pub(crate) fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// Commits what was begun and returns the connection, clean.
    pub(crate) async fn end(mut self) -> EngineResult<PgConnection> {
        if self.has_begun {
            let end = if self.is_undone { "ROLLBACK" } else { "COMMIT" };
            sqlx::query(end).execute(&mut self.connection).await?;
        }
        Ok(self.connection)
    }

    /// Takes back what was begun and returns the connection, clean.
    pub(crate) async fn abandon(mut self) -> EngineResult<PgConnection> {
        self.undo();
        self.end().await
    }
}
