//! Files: what is known of them, per scope.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_persist::{PersistErrorKind, Result};
use chat_types::{ContentHash, FileId, FileRecord, Scope};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::{page_rows, refused};
use crate::row::{Columns, encode, stored};
use crate::session::Session;
use crate::writer::Write;

/// Files per statement: the ids of one JSON list.
const ROWS_PER_STATEMENT: usize = 500;

/// The columns `file_of` reads, of table `f`.
macro_rules! columns {
    () => {
        "f.id, f.name, f.media_type, f.size_bytes, f.content, f.created_at"
    };
}

fn file_of(columns: &mut Columns<'_>) -> EngineResult<FileRecord> {
    Ok(FileRecord {
        id: columns.parsed()?,
        name: columns.text()?.to_owned(),
        media_type: columns.text()?.to_owned(),
        size_bytes: columns.unsigned()?,
        content: ContentHash::from_stored(columns.text()?.to_owned()),
        created_at: columns.time()?,
    })
}

/// One file as the writing statement takes it.
#[derive(Serialize)]
struct NewRow<'a> {
    id: &'a str,
    name: &'a str,
    media_type: &'a str,
    size_bytes: i64,
    content: &'a str,
    created_at: i64,
}

/// The scope's files of these ids, in the order asked.
async fn find(
    connection: &mut SqliteConnection,
    scope: &Scope,
    ids: &[FileId],
) -> EngineResult<Vec<FileRecord>> {
    let mut found = Vec::new();
    for ids in ids.chunks(ROWS_PER_STATEMENT) {
        let ids: Vec<&str> = ids.iter().map(FileId::as_str).collect();
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM scopes s CROSS JOIN json_each($3) wanted
              CROSS JOIN files f ON f.scope = s.pk AND f.id = wanted.value
              WHERE s.tenant = $1 AND s.user = $2 ORDER BY wanted.key"
        ))
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(encode(&ids)?)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            found.push(file_of(&mut Columns::of(row))?);
        }
    }
    Ok(found)
}

/// Reads files.
pub(crate) struct ReadFiles {
    pub(crate) scope: Scope,
    pub(crate) ids: Vec<FileId>,
}

#[async_trait]
impl Read for ReadFiles {
    type Output = Vec<FileRecord>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        find(connection, &self.scope, &self.ids).await
    }
}

/// Writes files, or nothing.
pub(crate) struct KeepFiles {
    pub(crate) scope: Scope,
    pub(crate) files: Vec<FileRecord>,
}

#[async_trait]
impl Write for KeepFiles {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<Self::Output> {
        let connection = session.connection().await?;
        let ids: Vec<FileId> = self.files.iter().map(|file| file.id.clone()).collect();
        let stored = find(connection, &self.scope, &ids).await?;
        let mut known: BTreeMap<&FileId, &FileRecord> =
            stored.iter().map(|file| (&file.id, file)).collect();
        let mut new = Vec::new();
        for file in &self.files {
            match known.insert(&file.id, file) {
                None => new.push(row_of(file)?),
                Some(first) if first == file => {}
                Some(_) => {
                    let detail = format!("file id {} stands for another record", file.id);
                    return Ok(refused(PersistErrorKind::Conflict, "keep files", detail));
                }
            }
        }
        if new.is_empty() {
            return Ok(Ok(()));
        }
        sqlx::query("INSERT INTO scopes (tenant, user) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .execute(&mut *connection)
            .await?;
        for rows in new.chunks(ROWS_PER_STATEMENT) {
            sqlx::query(
                "INSERT INTO files (scope, id, name, media_type, size_bytes, content, created_at)
                 SELECT s.pk, value ->> 'id', value ->> 'name', value ->> 'media_type',
                        value ->> 'size_bytes', value ->> 'content', value ->> 'created_at'
                   FROM scopes s CROSS JOIN json_each($3) WHERE s.tenant = $1 AND s.user = $2",
            )
            .bind(self.scope.tenant.as_str())
            .bind(self.scope.user.as_str())
            .bind(encode(&rows)?)
            .execute(&mut *connection)
            .await?;
        }
        Ok(Ok(()))
    }
}

fn row_of(file: &FileRecord) -> EngineResult<NewRow<'_>> {
    Ok(NewRow {
        id: file.id.as_str(),
        name: &file.name,
        media_type: &file.media_type,
        size_bytes: stored(file.size_bytes)?,
        content: file.content.as_str(),
        created_at: file.created_at.unix_ms(),
    })
}

/// Reads all files of all scopes, page by page.
pub(crate) struct ScanFiles {
    pub(crate) after: Option<(Scope, FileId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanFiles {
    type Output = Vec<(Scope, FileRecord)>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all. The rest of one scope, then later ones.
        let (tenant, user, id) = match &self.after {
            Some((scope, id)) => (scope.tenant.as_str(), scope.user.as_str(), id.as_str()),
            None => ("", "", ""),
        };
        let rows = sqlx::query(concat!(
            "SELECT * FROM (SELECT s.tenant, s.user, ",
            columns!(),
            " FROM scopes s JOIN files f ON f.scope = s.pk
              WHERE s.tenant = $1 AND s.user = $2 AND f.id > $3 ORDER BY f.id LIMIT $4)
             UNION ALL SELECT * FROM (SELECT s.tenant, s.user, ",
            columns!(),
            " FROM scopes s CROSS JOIN files f ON f.scope = s.pk
              WHERE (s.tenant, s.user) > ($1, $2) ORDER BY s.tenant, s.user, f.id LIMIT $4)
             ORDER BY 1, 2, 3 LIMIT $4"
        ))
        .bind(tenant)
        .bind(user)
        .bind(id)
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                let scope = Scope::new(columns.parsed()?, columns.parsed()?);
                Ok((scope, file_of(&mut columns)?))
            })
            .collect()
    }
}
