//! Files as a whole: taken in, read once, handed out.
//!
//! A library keeps bytes and what was read from them. Who owns a file, and which message carries it, is
//! in the record that [`add`](FileLibrary::add) gives: the caller stores it under its scope and looks it
//! up there again each time, before it asks for text or bytes.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use chat_types::{Clock, ContentHash, FileId, FileRecord, IdSource};
use serde::{Deserialize, Serialize};

use crate::blob::{BlobError, BlobStore, EntryName};
use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::{EXTRACTION_VERSION, Extracted, PreparedImage};
use crate::extractor::{Extractor, Source};
use crate::flights::Flights;
use crate::kind::FileKind;
use crate::limits::ImageBounds;
use crate::name::clean_label;
use crate::read::too_large;
use crate::sniff::{ENCRYPTED_OFFICE, sniff};

/// What could not be done with a file.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing can be read from it, or not now.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The store of bytes refused or failed.
    #[error("the stored files could not be reached")]
    Blob(#[source] Arc<BlobError>),
    /// The record is there, its bytes are not.
    #[error("the content of the file is gone from the store")]
    Missing,
    /// The source of ids made a text that breaks the rule of ids.
    #[error("no id could be made for the file")]
    Id(#[source] Arc<dyn StdError + Send + Sync>),
}

impl FileError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Extract(error) => error.code(),
            Self::Blob(error) => error.code(),
            Self::Missing => "file_missing",
            Self::Id(_) => "invalid_id",
        }
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Extract(error) => error.is_transient(),
            Self::Blob(error) => error.is_transient(),
            Self::Missing | Self::Id(_) => false,
        }
    }
}

impl From<BlobError> for FileError {
    fn from(error: BlobError) -> Self {
        Self::Blob(Arc::new(error))
    }
}

/// What is kept beside the blob. For an image, its bytes follow the line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Read(Extracted),
    Image { media_type: String, width_px: u32, height_px: u32 },
    Refused(ExtractError),
}

type Key = (ContentHash, EntryName);

/// A store of files: bytes by content, text and images read once and kept beside them.
#[derive(Debug)]
pub struct FileLibrary {
    blobs: Arc<dyn BlobStore>,
    extractor: Arc<Extractor>,
    ids: Arc<dyn IdSource>,
    clock: Arc<dyn Clock>,
    image_bounds: ImageBounds,
    texts: Flights<Key, Result<Arc<Extracted>, FileError>>,
    images: Flights<Key, Result<PreparedImage, FileError>>,
}

impl FileLibrary {
    /// A library over `blobs`, reading with `extractor`.
    #[must_use]
    pub fn new(
        blobs: Arc<dyn BlobStore>,
        extractor: Arc<Extractor>,
        ids: Arc<dyn IdSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            blobs,
            extractor,
            ids,
            clock,
            image_bounds: ImageBounds::default(),
            texts: Flights::default(),
            images: Flights::default(),
        }
    }

    /// Sends images within `bounds`.
    #[must_use]
    pub fn image_bounds(mut self, bounds: ImageBounds) -> Self {
        self.image_bounds = bounds;
        self
    }

    /// Keeps `bytes` that came under `name` and gives their record, which the caller stores. The name
    /// becomes a label, the media type is sniffed. Nothing is read yet: a file is taken even if nothing
    /// can be read from it. A second call with equal bytes stores nothing and gives another record.
    ///
    /// # Errors
    /// `too_large` if it is above the extractor's limit, before anything is stored; else the blob
    /// store's.
    pub async fn add(&self, name: &str, bytes: Bytes) -> Result<FileRecord, FileError> {
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.check_size(size_bytes)?;
        let id = FileId::new(self.ids.next_id()).map_err(|error| FileError::Id(Arc::new(error)))?;
        let name = clean_label(name);
        let media_type = sniff(&name, &bytes).media_type;
        let content = self.blobs.put(bytes).await?;
        let created_at = self.clock.now();
        Ok(FileRecord { id, name, media_type, size_bytes, content, created_at })
    }

    /// The file's bytes as they came: what goes out when it is delivered natively.
    ///
    /// # Errors
    /// `Missing`, or the blob store's.
    pub async fn bytes_of(&self, file: &FileRecord) -> Result<Bytes, FileError> {
        self.blobs.get(&file.content).await?.ok_or(FileError::Missing)
    }

    /// Text and facts of the file. Read once: later calls, also of other processes and other records of
    /// the same content, get what was kept, refusals included; calls at the same time share one reading.
    ///
    /// # Errors
    /// `Extract` with the reason; only a transient one is tried again by a later call. `Missing`, or the
    /// blob store's.
    pub async fn text_of(&self, file: &FileRecord) -> Result<Arc<Extracted>, FileError> {
        let kind = FileKind::of_media_type(&file.media_type);
        self.check(file, kind)?;
        let entry = EntryName::new(format!("text-v{EXTRACTION_VERSION}-{}", kind.as_str()))?;
        let key = (file.content.clone(), entry.clone());
        self.texts.join(key, || self.read_text(&file.content, &entry, kind)).await
    }

    /// The image as it is sent: scaled down, upright, re-encoded without its metadata. Made once, as
    /// [`text_of`](Self::text_of) reads once.
    ///
    /// # Errors
    /// As for [`text_of`](Self::text_of); `unsupported` if the file is no image.
    pub async fn image_of(&self, file: &FileRecord) -> Result<PreparedImage, FileError> {
        let kind = FileKind::of_media_type(&file.media_type);
        self.check(file, kind)?;
        if kind != FileKind::Image {
            return Err(unsupported(&file.media_type).into());
        }
        let ImageBounds { side_px_max, bytes_max, .. } = &self.image_bounds;
        let entry =
            EntryName::new(format!("image-v{EXTRACTION_VERSION}-{side_px_max}-{bytes_max}"))?;
        let key = (file.content.clone(), entry.clone());
        self.images.join(key, || self.make_image(&file.content, &entry)).await
    }

    /// Forgets content and everything read from it. For content that no record names any more, of no
    /// user and no tenant that shares this library. A second call changes nothing.
    ///
    /// # Errors
    /// The blob store's.
    pub async fn delete(&self, content: &ContentHash) -> Result<(), FileError> {
        Ok(self.blobs.delete(content).await?)
    }

    /// What needs no child to be refused.
    fn check(&self, file: &FileRecord, kind: FileKind) -> Result<(), FileError> {
        self.check_size(file.size_bytes)?;
        match kind {
            FileKind::Other => Err(unsupported(&file.media_type).into()),
            _ => Ok(()),
        }
    }

    fn check_size(&self, size_bytes: u64) -> Result<(), FileError> {
        let limits = self.extractor.limits();
        if size_bytes > limits.input_bytes_max {
            return Err(too_large(size_bytes, limits).into());
        }
        Ok(())
    }

    async fn read_text(
        &self,
        content: &ContentHash,
        entry: &EntryName,
        kind: FileKind,
    ) -> Result<Arc<Extracted>, FileError> {
        match self.kept(content, entry).await? {
            Some((Kept::Read(read), _)) => return Ok(Arc::new(read)),
            Some((Kept::Refused(error), _)) => return Err(error.into()),
            Some((Kept::Image { .. }, _)) | None => {}
        }
        let read = self.extractor.text(self.source(content).await?, kind).await;
        let kept = match read {
            Ok(read) => Kept::Read(read),
            Err(error) => Kept::Refused(error),
        };
        self.keep(content, entry, &kept, &[]).await;
        match kept {
            Kept::Read(read) => Ok(Arc::new(read)),
            Kept::Refused(error) => Err(error.into()),
            Kept::Image { .. } => Err(FileError::Missing),
        }
    }

    async fn make_image(
        &self,
        content: &ContentHash,
        entry: &EntryName,
    ) -> Result<PreparedImage, FileError> {
        match self.kept(content, entry).await? {
            Some((Kept::Image { media_type, width_px, height_px }, bytes)) => {
                return Ok(PreparedImage { media_type, width_px, height_px, bytes });
            }
            Some((Kept::Refused(error), _)) => return Err(error.into()),
            Some((Kept::Read(_), _)) | None => {}
        }
        let made = self.extractor.image(self.source(content).await?, &self.image_bounds).await;
        match made {
            Ok(image) => {
                let PreparedImage { media_type, width_px, height_px, bytes } = image.clone();
                let kept = Kept::Image { media_type, width_px, height_px };
                self.keep(content, entry, &kept, &bytes).await;
                Ok(image)
            }
            Err(error) => {
                self.keep(content, entry, &Kept::Refused(error.clone()), &[]).await;
                Err(error.into())
            }
        }
    }

    async fn source(&self, content: &ContentHash) -> Result<Source, FileError> {
        if let Some(path) = self.blobs.path(content).await? {
            return Ok(Source::Path(path));
        }
        let bytes = self.blobs.get(content).await?.ok_or(FileError::Missing)?;
        Ok(Source::Bytes(bytes))
    }

    /// What was kept; an entry that cannot be read is made anew.
    async fn kept(
        &self,
        content: &ContentHash,
        entry: &EntryName,
    ) -> Result<Option<(Kept, Bytes)>, FileError> {
        let Some(mut entry) = self.blobs.derived(content, entry).await? else { return Ok(None) };
        let Some(line) = entry.iter().position(|b| *b == b'\n') else { return Ok(None) };
        let rest = entry.split_off(line.saturating_add(1));
        Ok(serde_json::from_slice(&entry).ok().map(|kept| (kept, rest)))
    }

    /// Keeps an answer, if the next call would get the same. A cache that takes nothing costs a second
    /// reading later, not this answer.
    async fn keep(&self, content: &ContentHash, entry: &EntryName, kept: &Kept, bytes: &[u8]) {
        if matches!(kept, Kept::Refused(error) if error.is_transient()) {
            return;
        }
        let Ok(mut line) = serde_json::to_vec(kept) else { return };
        line.push(b'\n');
        line.extend_from_slice(bytes);
        let _read_again_later = self.blobs.put_derived(content, entry, line.into()).await;
    }
}

fn unsupported(media_type: &str) -> ExtractError {
    if media_type == ENCRYPTED_OFFICE {
        let sentence = "the document is encrypted; save a copy without its password";
        return ExtractError::refused(ExtractErrorKind::Encrypted, sentence);
    }
    let sentence = match media_type {
        "application/zip" => "archives are not opened; attach the files that are in it".to_owned(),
        "application/x-ole-storage" => {
            "old Office files are not read; save it as .docx, .xlsx or .pptx".to_owned()
        }
        other => format!("nothing can be read from files of the type {other}"),
    };
    ExtractError::refused(ExtractErrorKind::Unsupported, sentence)
}
