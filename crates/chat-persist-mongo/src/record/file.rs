//! A file: LibreChat's document; the hash of the content, which it has no field for, is ours.

use chat_types::{ContentHash, FileId, FileRecord, Scope, UserId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::OURS;
use super::field::{Fields, time, whole};
use super::scope::{DEFAULT_TENANT, tenant_of};
use crate::error::{EngineResult, Failure, FailureKind};

/// The user as this collection holds it.
pub(crate) fn file_user(user: &UserId) -> Bson {
    let object_id = ObjectId::parse_str(user.as_str()).ok();
    match object_id.filter(|object_id| object_id.to_hex() == user.as_str()) {
        Some(object_id) => Bson::ObjectId(object_id),
        None => Bson::from(user.as_str()),
    }
}

/// Whose a file is.
pub(crate) fn file_scope_of(document: &Document) -> EngineResult<Scope> {
    let name = match document.get("user") {
        Some(Bson::ObjectId(object_id)) => object_id.to_hex(),
        Some(Bson::String(name)) => name.clone(),
        _ => return Err(Failure::corrupt("a file has no user")),
    };
    let user = UserId::new(name).map_err(|_| Failure::corrupt("a file has no valid user"))?;
    Ok(Scope::new(tenant_of(document)?, user))
}

/// The document of a new file. Its bytes are in our blob store, under the name of their hash.
pub(crate) fn new_file(
    scope: &Scope,
    object_id: ObjectId,
    file: &FileRecord,
) -> EngineResult<Document> {
    let bytes = i64::try_from(file.size_bytes)
        .map_err(|_| Failure::new(FailureKind::TooLarge, "a file is too large"))?;
    let mut document = doc! {
        "_id": object_id,
        "user": file_user(&scope.user),
        "file_id": file.id.as_str(),
        "bytes": whole(bytes),
        "filename": &file.name,
        "filepath": format!("{OURS}/{}", file.content.as_str()),
        "object": "file",
        "type": &file.media_type,
        "usage": 0,
        "source": "local",
        "createdAt": time(file.created_at),
        "updatedAt": time(file.created_at),
        "__v": 0,
        OURS: { "content": file.content.as_str() },
    };
    if scope.tenant.as_str() != DEFAULT_TENANT {
        document.insert("tenantId", scope.tenant.as_str());
    }
    Ok(document)
}

/// Reads a document, ours or LibreChat's. LibreChat knows no hash; one of the file's own id stands
/// in, so that equal records are equal.
pub(crate) fn file_of(document: &Document) -> EngineResult<FileRecord> {
    let fields = Fields(document);
    let id: FileId = fields.parsed("file_id")?;
    let ours = fields.optional_document(OURS)?;
    let content = match ours.map(|ours| ours.optional_text("content")).transpose()?.flatten() {
        Some(hash) => ContentHash::from_stored(hash.to_owned()),
        None => ContentHash::of(["librechat", id.as_str()]),
    };
    let first_seen =
        document.get_object_id("_id").map_or(0, |id| id.timestamp().timestamp_millis());
    let size = fields.optional_float("bytes").map_or(0, |_| fields.unsigned("bytes").unwrap_or(0));
    Ok(FileRecord {
        name: fields.optional_text("filename")?.unwrap_or(id.as_str()).to_owned(),
        media_type: fields.optional_text("type")?.unwrap_or("application/octet-stream").to_owned(),
        size_bytes: size,
        content,
        created_at: fields
            .optional_time("createdAt")?
            .unwrap_or_else(|| chat_types::Timestamp::from_unix_ms(first_seen)),
        id,
    })
}
