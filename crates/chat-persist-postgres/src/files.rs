//! Files: what is known of them, per scope.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use chat_persist::{PersistErrorKind, Result};
use chat_types::{ContentHash, FileId, FileRecord, Scope};
use sqlx::PgConnection;

use crate::error::EngineResult;
use crate::escape::escape;
use crate::refusal::{page_rows, refused};
use crate::row::{Columns, stored};
use crate::runner::{Read, Write};
use crate::session::Session;

/// Files per statement: enough that round trips do not count.
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
        name: columns.escaped()?,
        media_type: columns.escaped()?,
        size_bytes: columns.unsigned()?,
        content: ContentHash::from_stored(columns.escaped()?),
        created_at: columns.time()?,
    })
}

/// The scope's files of these ids.
async fn find(
    connection: &mut PgConnection,
    scope: &Scope,
    ids: &[&FileId],
) -> EngineResult<HashMap<FileId, FileRecord>> {
    let mut found = HashMap::new();
    for ids in ids.chunks(ROWS_PER_STATEMENT) {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM files f WHERE f.tenant = $1 AND f.user_id = $2 AND f.id = ANY ($3)"
        ))
        .bind(scope.tenant.as_str())
        .bind(scope.user.as_str())
        .bind(ids)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            let file = file_of(&mut Columns::of(row))?;
            found.insert(file.id.clone(), file);
        }
    }
    Ok(found)
}

/// Reads files.
#[derive(Debug)]
pub(crate) struct ReadFiles {
    pub(crate) scope: Scope,
    pub(crate) ids: Vec<FileId>,
}

#[async_trait]
impl Read for ReadFiles {
    type Output = Vec<FileRecord>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let ids: Vec<&FileId> = self.ids.iter().collect();
        let found = find(connection, &self.scope, &ids).await?;
        Ok(self.ids.iter().filter_map(|id| found.get(id)).cloned().collect())
    }
}

/// Writes files, or nothing.
#[derive(Debug)]
pub(crate) struct KeepFiles {
    pub(crate) scope: Scope,
    pub(crate) files: Vec<FileRecord>,
}

#[async_trait]
impl Write for KeepFiles {
    type Output = Result<()>;

    async fn apply(&self, session: &mut Session) -> EngineResult<Self::Output> {
        let connection = session.begin().await?;
        let ids: Vec<&FileId> = self.files.iter().map(|file| &file.id).collect();
        let there = find(connection, &self.scope, &ids).await?;
        let mut new: BTreeMap<&FileId, &FileRecord> = BTreeMap::new();
        for file in &self.files {
            match there.get(&file.id).or_else(|| new.get(&file.id).copied()) {
                None => {
                    new.insert(&file.id, file);
                }
                Some(known) if known == file => {}
                Some(_) => {
                    let detail = format!("file id {} stands for another record", file.id);
                    return Ok(refused(PersistErrorKind::Conflict, "keep files", detail));
                }
            }
        }
        // In the order of their ids, so that two callers do not wait for each other in a circle.
        let new: Vec<&FileRecord> = new.into_values().collect();
        for files in new.chunks(ROWS_PER_STATEMENT) {
            self.insert(connection, files).await?;
        }
        Ok(Ok(()))
    }
}

impl KeepFiles {
    async fn insert(
        &self,
        connection: &mut PgConnection,
        files: &[&FileRecord],
    ) -> EngineResult<()> {
        let sizes =
            files.iter().map(|file| stored(file.size_bytes)).collect::<EngineResult<Vec<i64>>>()?;
        let texts = |text: fn(&FileRecord) -> &str| -> Vec<String> {
            files.iter().map(|file| escape(text(file)).into_owned()).collect()
        };
        sqlx::query(
            "INSERT INTO files (tenant, user_id, id, name, media_type, size_bytes, content,
                    created_at)
             SELECT $1, $2, new.id, new.name, new.media_type, new.size_bytes, new.content,
                    new.created_at
               FROM unnest($3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::TEXT[],
                    $8::BIGINT[]) AS new (id, name, media_type, size_bytes, content, created_at)",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(files.iter().map(|file| file.id.as_str()).collect::<Vec<&str>>())
        .bind(texts(|file| &file.name))
        .bind(texts(|file| &file.media_type))
        .bind(sizes)
        .bind(texts(|file| file.content.as_str()))
        .bind(files.iter().map(|file| file.created_at.unix_ms()).collect::<Vec<i64>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Reads all files of all scopes, page by page.
#[derive(Debug)]
pub(crate) struct ScanFiles {
    pub(crate) after: Option<(Scope, FileId)>,
    pub(crate) limit: u32,
}

#[async_trait]
impl Read for ScanFiles {
    type Output = Vec<(Scope, FileRecord)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        // No id is empty, so the empty key is before all.
        let (tenant, user, id) = match &self.after {
            Some((scope, id)) => (scope.tenant.as_str(), scope.user.as_str(), id.as_str()),
            None => ("", "", ""),
        };
        let rows = sqlx::query(concat!(
            "SELECT f.tenant, f.user_id, ",
            columns!(),
            " FROM files f WHERE (f.tenant, f.user_id, f.id) > ($1, $2, $3)
              ORDER BY f.tenant, f.user_id, f.id LIMIT $4"
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
