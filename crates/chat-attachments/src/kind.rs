//! What a file is, as far as this crate treats it differently.

use serde::{Deserialize, Serialize};

/// The kind of a file; it follows from its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileKind {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// Source code, configuration, XML: text that a program reads.
    Code,
    /// Rows of comma- or tab-separated values.
    Csv,
    /// JSON, or lines of it.
    Json,
    /// A web page.
    Html,
    /// PDF.
    Pdf,
    /// A Word document (OOXML).
    Docx,
    /// An Excel workbook (OOXML).
    Xlsx,
    /// A PowerPoint presentation (OOXML).
    Pptx,
    /// An image that can be decoded here: PNG, JPEG, GIF, WebP, BMP.
    Image,
    /// Audio of which the duration can be told.
    Audio,
    /// Everything else: kept, but nothing is read from it.
    Other,
}

pub(crate) const DOCX: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
pub(crate) const PPTX: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";

impl FileKind {
    /// The kind of a media type that [`sniff`](crate::sniff) gave.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Self {
        match media_type {
            "text/plain" => Self::Text,
            "text/markdown" => Self::Markdown,
            "text/csv" | "text/tab-separated-values" => Self::Csv,
            "application/json" | "application/jsonl" => Self::Json,
            "text/html" => Self::Html,
            "application/pdf" => Self::Pdf,
            DOCX => Self::Docx,
            XLSX => Self::Xlsx,
            PPTX => Self::Pptx,
            "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/bmp" => Self::Image,
            "application/xml" | "application/yaml" | "application/toml" | "application/sql"
            | "image/svg+xml" => Self::Code,
            other if other.starts_with("text/") => Self::Code,
            other if other.starts_with("audio/") => Self::Audio,
            _ => Self::Other,
        }
    }

    /// The name in records and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Code => "code",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Pptx => "pptx",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Other => "other",
        }
    }

    /// Text can be read from it; an empty document still may give none.
    #[must_use]
    pub const fn has_text(self) -> bool {
        !matches!(self, Self::Image | Self::Audio | Self::Other)
    }

    /// It is text as it stands: no parser is needed, only a decoder.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Markdown | Self::Code | Self::Csv | Self::Json)
    }
}
