//! Attached files: taken in under a scope, looked up under it again at every turn, delivered as the
//! model can take them.
//!
//! Not here: reading and caching them (`chat-attachments`), where their text stands (`chat-context`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chat_context::attachments::{
    Delivery, ExtractError, FileCaps, FileError, FileKind, FileLibrary, FileText, cap_texts,
    deliver, fence,
};
use chat_context::{DeliveredFile, FileForm, FileReadError, FileReader};
use chat_provider::Media;
use chat_tokens::TokenCounter;
use chat_types::{ContentPart, FileId, FileRecord, ModelInfo, Scope, Tokens};
use futures::future::join_all;

use crate::inner::Inner;
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

/// The library of a client, and how much of a window its files may take.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) library: Arc<FileLibrary>,
    pub(crate) caps: FileCaps,
}

/// Every file that `parts` name is the scope's.
pub(crate) async fn check_owned(inner: &Inner, scope: &Scope, parts: &[ContentPart]) -> Result<()> {
    let named: Vec<FileId> = parts.iter().filter_map(ContentPart::file).cloned().collect();
    if named.is_empty() {
        return Ok(());
    }
    let records = inner.store.files(scope, &named).await?;
    let missing = named.into_iter().find(|id| !records.iter().any(|record| record.id == *id));
    match missing {
        Some(file) => Err(TurnError::UnknownFile { file }),
        None => Ok(()),
    }
}

/// Reads files for one prompt: who asks, for which model.
#[derive(Debug)]
pub(crate) struct PromptFiles<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) files: &'a Files,
    pub(crate) scope: &'a Scope,
    pub(crate) info: &'a ModelInfo,
    pub(crate) counter: &'a dyn TokenCounter,
    /// What the prompt may have in all: what the caps are shares of.
    pub(crate) input: Tokens,
    /// The bytes of files that can go along as they are, until it is known which do.
    pub(crate) native: Mutex<HashMap<FileId, Media>>,
}

/// A file before the texts are cut to their shares.
enum Chosen {
    Ready(FileForm, String),
    Text(String, &'static str),
}

#[async_trait]
impl FileReader for PromptFiles<'_> {
    async fn read(
        &self,
        files: &[FileId],
    ) -> std::result::Result<Vec<DeliveredFile>, FileReadError> {
        let records = self.inner.store.files(self.scope, files).await.map_err(|error| {
            FileReadError { is_transient: error.is_transient(), source: Box::new(error) }
        })?;
        let chosen = join_all(records.iter().map(|record| self.choose(record))).await;
        let texts: Vec<FileText<'_>> = records
            .iter()
            .zip(&chosen)
            .filter_map(|(record, chosen)| match chosen {
                Chosen::Text(text, _) => Some(FileText { name: &record.name, text, tokens: None }),
                Chosen::Ready(..) => None,
            })
            .collect();
        let mut capped = cap_texts(&texts, self.input, self.files.caps, self.counter).into_iter();
        let delivered = records.iter().zip(&chosen).map(|(record, chosen)| {
            let (form, reason) = match chosen {
                Chosen::Ready(form, reason) => (form.clone(), reason.clone()),
                Chosen::Text(_, reason) => match capped.next() {
                    Some(cut) => {
                        let (id, name) = (record.id.as_str(), record.name.as_str());
                        let text = fence(id, name, record.content.as_str(), &cut.text);
                        let reason = match cut.left_out {
                            Tokens::ZERO => format!("{name}: {reason}"),
                            left_out => format!("{name}: {reason}, {left_out} tokens left out"),
                        };
                        (FileForm::Text(text), reason)
                    }
                    None => (FileForm::Absent, format!("{}: no room", record.name)),
                },
            };
            DeliveredFile { file: record.id.clone(), form, reason }
        });
        Ok(delivered.collect())
    }
}

impl PromptFiles<'_> {
    async fn choose(&self, record: &FileRecord) -> Chosen {
        let kind = FileKind::of_media_type(&record.media_type);
        let name = &record.name;
        let decided = deliver(kind, self.info.modalities, None, None);
        match decided.how {
            // Read now: one that cannot be read must not end the turn, nor all those after it.
            Delivery::Native => {
                return match self.media_of(record).await {
                    Ok(media) => {
                        self.native().insert(record.id.clone(), media);
                        Chosen::Ready(FileForm::Native, format!("{name}: {}", decided.reason))
                    }
                    Err(error) => Chosen::Ready(FileForm::Absent, format!("{name}: {error}")),
                };
            }
            Delivery::None => {
                return Chosen::Ready(FileForm::Absent, format!("{name}: {}", decided.reason));
            }
            Delivery::Text => {}
        }
        let read = match self.files.library.text_of(record).await {
            Ok(read) => read,
            // The model is told that the file is there; the report says why it has no more of it.
            Err(error) => return Chosen::Ready(FileForm::Absent, format!("{name}: {error}")),
        };
        let has_text = !read.text.trim().is_empty();
        let decided = deliver(kind, self.info.modalities, None, Some(has_text));
        if decided.how == Delivery::Text {
            return Chosen::Text(read.text.clone(), decided.reason);
        }
        Chosen::Ready(FileForm::Absent, format!("{name}: {}", decided.reason))
    }

    fn native(&self) -> MutexGuard<'_, HashMap<FileId, Media>> {
        self.native.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the files that go along as they are; a second call has none of them.
    pub(crate) fn media(&self, native: &[FileId]) -> Vec<Media> {
        let mut read = self.native();
        native.iter().filter_map(|file| read.remove(file)).collect()
    }

    async fn media_of(&self, record: &FileRecord) -> std::result::Result<Media, FileError> {
        let library = &self.files.library;
        let (media_type, bytes) = match FileKind::of_media_type(&record.media_type) {
            FileKind::Image => {
                let image = library.image_of(record).await?;
                (image.media_type, image.bytes)
            }
            _ => (record.media_type.clone(), library.bytes_of(record).await?),
        };
        Ok(Media { file: record.id.clone(), media_type, bytes: bytes.as_ref().into() })
    }
}
