//! What goes into an index: a document's text and what is known of it.
//!
//! Not here: reading files and extracting their text; whoever calls has done that.

use chat_types::{CollectionId, ContentHash, FileId, Timestamp, Tokens};
use serde::{Deserialize, Serialize};

use crate::error::{RagError, RagErrorKind, Result};

/// The longest text of one document: some 4 million tokens, more than any book, and little enough
/// that its chunks and vectors fit into one transaction.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest name of a document: what file systems allow.
pub const NAME_BYTES_MAX: usize = 255;

/// A document to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Names it within its owner's scope; the file it was extracted from.
    pub id: FileId,
    /// The group it belongs to, if any.
    pub collection: Option<CollectionId>,
    /// A label for people and for citations; never a path that is opened.
    pub name: String,
    /// The file's media type: Markdown is split along its headings.
    pub media_type: String,
    /// Its text.
    pub text: String,
    /// Hash of what the text was extracted from: equal content is not indexed twice.
    pub content: ContentHash,
    /// When it was handed in.
    pub added_at: Timestamp,
}

impl Document {
    /// A document of `text`, in no collection, its hash that of the text.
    #[must_use]
    pub fn new(id: FileId, name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        Self {
            id,
            collection: None,
            name,
            media_type: "text/plain".to_owned(),
            content: ContentHash::of([text.as_bytes()]),
            text,
            added_at: Timestamp::from_unix_ms(0),
        }
    }

    /// Checks the bounds that hold for every index.
    ///
    /// # Errors
    /// `TooLarge` for a text beyond [`DOCUMENT_BYTES_MAX`]; `Invalid` for a name that is empty,
    /// longer than [`NAME_BYTES_MAX`] or has control characters.
    pub fn check(&self) -> Result<()> {
        let refuse = |kind, detail: String| Err(RagError::new(kind, "add document", detail));
        if self.text.len() > DOCUMENT_BYTES_MAX {
            let detail = format!(
                "the text of {} has {} bytes, {DOCUMENT_BYTES_MAX} are allowed; split it",
                self.id,
                self.text.len()
            );
            return refuse(RagErrorKind::TooLarge, detail);
        }
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            let detail = format!("the name of {} must have 1 to {NAME_BYTES_MAX} bytes", self.id);
            return refuse(RagErrorKind::Invalid, detail);
        }
        if self.name.chars().any(char::is_control) {
            let detail = format!("the name of {} has control characters", self.id);
            return refuse(RagErrorKind::Invalid, detail);
        }
        Ok(())
    }

    /// Whether it is split as Markdown.
    #[must_use]
    pub fn is_markdown(&self) -> bool {
        self.media_type.split(';').next().is_some_and(|kind| kind.trim() == "text/markdown")
    }
}

/// What an index knows of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentInfo {
    /// Names it.
    pub id: FileId,
    /// Its group.
    pub collection: Option<CollectionId>,
    /// Its label.
    pub name: String,
    /// The file's media type.
    pub media_type: String,
    /// Hash of its content.
    pub content: ContentHash,
    /// Size of its text.
    pub text_bytes: u64,
    /// Into how many chunks it was split.
    pub chunks: u32,
    /// The embedding model of its vectors; none: it is found by its words only.
    pub embedding: Option<String>,
    /// When it was handed in.
    pub added_at: Timestamp,
}

impl DocumentInfo {
    /// It stands for this very `document`: content, name, group and type are equal. How the document
    /// was split and embedded is not compared.
    #[must_use]
    pub fn is_of(&self, document: &Document) -> bool {
        self.content == document.content
            && self.name == document.name
            && self.collection == document.collection
            && self.media_type == document.media_type
    }
}

/// What adding a document did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddOutcome {
    /// It is new.
    New,
    /// It took the place of an earlier version.
    Replaced,
    /// The same content was there, indexed the same way: nothing was done.
    Unchanged,
}

/// The report of an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Added {
    /// What happened.
    pub outcome: AddOutcome,
    /// The document's chunks.
    pub chunks: u32,
    /// Their tokens, overlaps counted twice; zero if unchanged.
    pub tokens: Tokens,
}

impl Added {
    /// The document was there already, as `info` says.
    #[must_use]
    pub const fn unchanged(info: &DocumentInfo) -> Self {
        Self { outcome: AddOutcome::Unchanged, chunks: info.chunks, tokens: Tokens::ZERO }
    }
}

/// Where an addition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddStage {
    /// The text is being split.
    Chunking,
    /// Vectors are being computed.
    Embedding,
    /// Chunks are being written.
    Storing,
}

/// Progress of an addition, for a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddProgress {
    /// What is being done.
    pub stage: AddStage,
    /// Chunks done at this stage.
    pub chunks_done: u32,
    /// All of them; 0 while it is not known.
    pub chunks_total: u32,
}

impl AddProgress {
    /// `done` of `total` chunks at this stage.
    #[must_use]
    pub fn at(stage: AddStage, done: usize, total: usize) -> Self {
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self { stage, chunks_done: small(done), chunks_total: small(total) }
    }
}
