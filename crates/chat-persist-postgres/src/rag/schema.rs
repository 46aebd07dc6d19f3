//! The extension, the tables, and the index of each vector space.

use async_trait::async_trait;
use chat_rag::VectorSpace;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::error::{EngineResult, Failure, FailureKind};
use crate::runner::Write;
use crate::session::Session;

const PROGRAMS: &[&str] = &[include_str!("../../migrations/rag_0001_first.sql")];

/// pgvector's own bound of what it can index by HNSW.
const DIMENSIONS_MAX: usize = 2_000;

/// Where the extension is, and the key of the embedder's space.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The schema of the extension, a plain name.
    pub(crate) vector: String,
    pub(crate) space: i64,
    pub(crate) dimensions: usize,
}

/// Brings everything up to date; the second of two processes finds it done.
pub(crate) struct Prepare {
    pub(crate) space: VectorSpace,
}

#[async_trait]
impl Write for Prepare {
    type Output = Place;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        if !(1..=DIMENSIONS_MAX).contains(&self.space.dimensions) {
            let detail = format!("vectors of 1 to {DIMENSIONS_MAX} numbers can be indexed");
            return Err(Failure::new(FailureKind::Unsupported, detail));
        }
        let connection = session.begin().await?;
        for statement in [
            "SET LOCAL lock_timeout = '60s'",
            "SET LOCAL statement_timeout = 0",
            "SELECT pg_advisory_xact_lock(hashtextextended('chat retrieval ' || current_schema(), 0))",
        ] {
            sqlx::query(statement).execute(&mut *connection).await?;
        }
        let vector = extension(connection).await?;
        migrate(connection, &vector).await?;
        let space = self.space(connection, &vector).await?;
        Ok(Place { vector, space, dimensions: self.space.dimensions })
    }
}

/// The schema of the extension; it is created if the server has it and the login may.
async fn extension(connection: &mut PgConnection) -> EngineResult<String> {
    let find = "SELECT n.nspname FROM pg_catalog.pg_extension e
                  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
                 WHERE e.extname = 'vector'";
    let mut row = sqlx::query(find).fetch_optional(&mut *connection).await?;
    if row.is_none() {
        let created = sqlx::query("CREATE EXTENSION vector WITH SCHEMA public");
        created.execute(&mut *connection).await.map_err(|error| {
            let detail = format!(
                "this database has no pgvector, and it cannot be created by this login: have \
                 `CREATE EXTENSION vector` run by its operator ({error})"
            );
            Failure::new(FailureKind::Unsupported, detail)
        })?;
        row = sqlx::query(find).fetch_optional(connection).await?;
    }
    let schema: String = match row {
        Some(row) => row.try_get(0)?,
        None => return Err(Failure::corrupt("the extension vector has no schema")),
    };
    let is_plain = schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        return Ok(schema);
    }
    let detail = "pgvector stands in a schema whose name is not a plain one";
    Err(Failure::new(FailureKind::Unsupported, detail))
}

async fn migrate(connection: &mut PgConnection, vector: &str) -> EngineResult<()> {
    let marks = sqlx::query("SELECT to_regclass('rag_schema') IS NOT NULL");
    let is_there: bool = marks.fetch_one(&mut *connection).await?.try_get(0)?;
    if !is_there {
        sqlx::raw_sql(
            "CREATE TABLE rag_schema (version BIGINT NOT NULL); INSERT INTO rag_schema VALUES (0)",
        )
        .execute(&mut *connection)
        .await?;
    }
    let row = sqlx::query("SELECT version FROM rag_schema").fetch_one(&mut *connection).await?;
    let version: i64 = row.try_get(0)?;
    let seen = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = PROGRAMS.get(seen..) else {
        let detail = format!(
            "the index of documents has schema version {version}, this program knows {}; use the \
             newer program, it was left untouched",
            PROGRAMS.len()
        );
        return Err(Failure::new(FailureKind::NewerSchema, detail));
    };
    for program in missing {
        // The name was checked to be a plain one.
        let program = program.replace("{vector}", vector);
        sqlx::raw_sql(AssertSqlSafe(program)).execute(&mut *connection).await?;
        sqlx::query("UPDATE rag_schema SET version = version + 1")
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

impl Prepare {
    /// The key of the space; its index over graphs of neighbours is made with it.
    async fn space(&self, connection: &mut PgConnection, vector: &str) -> EngineResult<i64> {
        let dimensions = i64::try_from(self.space.dimensions).unwrap_or(i64::MAX);
        let row = sqlx::query(
            "INSERT INTO rag_spaces (model, dimensions) VALUES ($1, $2)
             ON CONFLICT (model, dimensions) DO UPDATE SET model = excluded.model RETURNING pk",
        )
        .bind(&self.space.model)
        .bind(dimensions)
        .fetch_one(&mut *connection)
        .await?;
        let space: i64 = row.try_get(0)?;
        // Numbers and a checked name.
        let index = format!(
            "CREATE INDEX IF NOT EXISTS rag_chunks_space_{space} ON rag_chunks USING hnsw
             ((embedding::{vector}.VECTOR({dimensions})) {vector}.vector_cosine_ops)
             WHERE space = {space}"
        );
        sqlx::raw_sql(AssertSqlSafe(index)).execute(connection).await?;
        Ok(space)
    }
}
