//! Taking files in, before a message carries them.

use bytes::Bytes;
use chat_context::attachments::{ExtractError, FileError, FileKind};
use chat_types::{ContentPart, FileRecord, Scope};

use crate::{BaseClient, Result, TurnError};

/// A file that was taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachedFile {
    /// What is known of it.
    pub record: FileRecord,
    /// The part that a message carries for it.
    pub part: ContentPart,
    /// Why nothing can be read from it; none: something can, or nothing needs to be.
    pub unreadable: Option<ExtractError>,
}

impl BaseClient {
    /// Takes a file in for this scope: a message carries it by the part that comes back. Its name is a
    /// label, its type is what its bytes say. It is read now, so that what is wrong with it is said
    /// now; a file that nothing can be read from is taken all the same. Equal bytes are kept once; a
    /// second call makes another record of them.
    ///
    /// # Errors
    /// `NoFiles` if the client has no library; `File` if it is too large or cannot be kept; `Store`.
    pub async fn attach(&self, scope: &Scope, name: &str, bytes: Bytes) -> Result<AttachedFile> {
        let library = self.inner.files.as_ref().ok_or(TurnError::NoFiles)?;
        let record = library.library.add(name, bytes).await?;
        let read = library.library.text_of(&record).await;
        self.inner.store.keep_files(scope, std::slice::from_ref(&record)).await?;
        let facts = read.as_ref().ok();
        let part = match FileKind::of_media_type(&record.media_type) {
            FileKind::Image => ContentPart::Image {
                file: record.id.clone(),
                media_type: record.media_type.clone(),
                width_px: facts.and_then(|facts| facts.width_px),
                height_px: facts.and_then(|facts| facts.height_px),
            },
            _ => ContentPart::File {
                file: record.id.clone(),
                name: record.name.clone(),
                media_type: record.media_type.clone(),
            },
        };
        let unreadable = match read {
            Err(FileError::Extract(error)) => Some(error),
            Err(error) if !error.is_transient() => return Err(error.into()),
            _ => None,
        };
        Ok(AttachedFile { record, part, unreadable })
    }
}
