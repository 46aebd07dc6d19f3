//! `[files]`: where attached files are kept, and which program reads them.

use std::path::PathBuf;
use std::sync::Arc;

use chat_context::attachments::{
    Extractor, ExtractorConfig, FileCaps, FileLibrary, FolderBlobs, ImageBounds,
};
use chat_types::{SystemClock, UuidIds};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// Where attached files are kept and how they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FilesConfig {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// The program that reads a file in a process of its own, with its limits.
    pub extractor: ExtractorConfig,
    /// How much of a window files may take.
    #[serde(default)]
    pub caps: FileCaps,
    /// How large images are sent.
    #[serde(default)]
    pub images: ImageBounds,
}

impl FilesConfig {
    /// Files in `folder`, read by `extractor`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, extractor: ExtractorConfig) -> Self {
        Self {
            folder: folder.into(),
            extractor,
            caps: FileCaps::default(),
            images: ImageBounds::default(),
        }
    }

    pub(crate) async fn library(&self) -> Result<Arc<FileLibrary>, RuntimeError> {
        let blobs = FolderBlobs::open(&self.folder).await.map_err(|error| {
            let detail = format!("files.folder {}: {error}", self.folder.display());
            RuntimeError::InvalidConfig { detail }
        })?;
        let extractor = Arc::new(Extractor::new(self.extractor.clone()));
        let library =
            FileLibrary::new(Arc::new(blobs), extractor, Arc::new(UuidIds), Arc::new(SystemClock));
        Ok(Arc::new(library.image_bounds(self.images.clone())))
    }
}
