//! The files of a prompt: looked up under its scope again at every turn, delivered as the model can take
//! them.
//!
//! Not here: taking them in (`attach`), reading and caching them (`chat-attachments`), where their text
//! stands (`chat-context`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chat_context::attachments::{
    Delivery, FileCaps, FileError, FileKind, FileLibrary, FileText, cap_texts, deliver, fence,
};
use chat_context::{DeliveredFile, FileForm, FileReadError, FileReader};
use chat_persist::PersistenceAdapter;
use chat_provider::Media;
use chat_tokens::TokenCounter;
use chat_types::{ContentPart, FileId, FileRecord, ModelInfo, Scope, Tokens};
use futures::future::join_all;

use crate::{Result, TurnError};

/// The library of a client, and how much of a window its files may take.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) library: Arc<FileLibrary>,
    pub(crate) caps: FileCaps,
}

/// Every file that `parts` name is the scope's.
pub(crate) async fn check_owned(
    store: &dyn PersistenceAdapter,
    scope: &Scope,
    parts: &[ContentPart],
) -> Result<()> {
    let named: Vec<FileId> = parts.iter().filter_map(ContentPart::file).cloned().collect();
    if named.is_empty() {
        return Ok(());
    }
    let records = store.files(scope, &named).await?;
    let missing = named.into_iter().find(|id| !records.iter().any(|record| record.id == *id));
    match missing {
        Some(file) => Err(TurnError::UnknownFile { file }),
        None => Ok(()),
    }
}

/// Reads files for one prompt: who asks, for which model.
#[derive(Debug)]
pub(crate) struct PromptFiles<'a> {
    pub(crate) store: &'a dyn PersistenceAdapter,
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
        let records = self.store.files(self.scope, files).await.map_err(|error| FileReadError {
            is_transient: error.is_transient(),
            source: Box::new(error),
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
