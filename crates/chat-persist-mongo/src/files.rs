//! Files: LibreChat's own documents, metadata only.
//!
//! LibreChat's `user` is an ObjectId here. A user of ours whose name is none stands as a text.

use std::collections::HashMap;

use chat_persist::PersistErrorKind;
use chat_types::{FileId, FileRecord, Scope};
use mongodb::bson::{Array, Bson, Document, doc};

use crate::collections::FILES;
use crate::error::Outcome;
use crate::index::Index;
use crate::record::{file_of, file_scope_of, file_user, new_file, tenant_value};
use crate::refusal::refused;
use crate::scans::{Position, scanned_after};
use crate::unit::{Cut, Unit};

pub(crate) fn indexes() -> Vec<Index> {
    vec![
        // LibreChat keeps no two of its own apart; ours are.
        Index::on(FILES, doc! { "file_id": 1, "user": 1, "tenantId": 1 })
            .unique()
            .only(doc! { "chatRuntime.content": { "$exists": true } }),
        Index::on(FILES, doc! { "user": 1, "file_id": 1 }),
        // The scan of everything.
        Index::on(FILES, doc! { "tenantId": 1, "user": 1, "file_id": 1 }),
    ]
}

fn owned(scope: &Scope) -> Document {
    doc! { "user": file_user(&scope.user), "tenantId": tenant_value(&scope.tenant) }
}

/// Keeps records; the same again changes nothing, another under a taken id is refused.
pub(crate) async fn keep(unit: &mut Unit<'_>, scope: &Scope, files: &[FileRecord]) -> Outcome<()> {
    let ids: Vec<FileId> = files.iter().map(|file| file.id.clone()).collect();
    let mut known = found(unit, scope, &ids).await?;
    let mut documents = Vec::new();
    for file in files {
        match known.get(&file.id) {
            Some(stored) if stored == file => {}
            Some(_) => {
                let detail = format!("file id {} stands for another record", file.id);
                return refused(PersistErrorKind::Conflict, "keep files", detail);
            }
            None => {
                documents.push(new_file(scope, unit.object_ids.next(None), file)?);
                known.insert(file.id.clone(), file.clone());
            }
        }
    }
    unit.insert_many(FILES, &documents).await?;
    Ok(())
}

/// Reads records in the order asked; those the scope does not have are left out.
pub(crate) async fn read(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &[FileId],
) -> Outcome<Vec<FileRecord>> {
    let known = found(unit, scope, ids).await?;
    Ok(ids.iter().filter_map(|id| known.get(id).cloned()).collect())
}

/// Of several documents of one id, the oldest stands.
async fn found(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &[FileId],
) -> Outcome<HashMap<FileId, FileRecord>> {
    let names: Array = ids.iter().map(|id| Bson::from(id.as_str())).collect();
    let mut filter = owned(scope);
    filter.insert("file_id", doc! { "$in": names });
    let cut = Cut::sorted(doc! { "_id": 1 }, 0).only(doc! { "text": 0 });
    let documents = unit.find(FILES, filter, cut).await?;
    let mut known = HashMap::new();
    for document in &documents {
        let file = file_of(document)?;
        known.entry(file.id.clone()).or_insert(file);
    }
    Ok(known)
}

/// Files of all scopes after `after`, in the order of tenant, user and id; users that LibreChat
/// knows come after the others.
pub(crate) async fn scan(
    unit: &mut Unit<'_>,
    after: Option<&(Scope, FileId)>,
    limit: u32,
) -> Outcome<Vec<(Scope, FileRecord)>> {
    let after = after.map(|(scope, id)| Position {
        tenant: &scope.tenant,
        user: file_user(&scope.user),
        id: id.as_str(),
    });
    let documents = scanned_after(unit, FILES, "file_id", after, limit).await?;
    let mut scanned = Vec::with_capacity(documents.len());
    for document in &documents {
        match (file_scope_of(document), file_of(document)) {
            (Ok(scope), Ok(file)) => scanned.push((scope, file)),
            _ => tracing::warn!("a file without a valid id or owner was left out"),
        }
    }
    Ok(scanned)
}
