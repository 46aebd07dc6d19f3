#![doc = include_str!("../README.md")]

mod blob;
mod caps;
mod child;
mod delivery;
mod error;
mod extracted;
mod extractor;
mod fence;
mod flights;
mod folder;
mod kind;
mod library;
mod limits;
mod memory;
mod name;
#[cfg(feature = "object-store")]
mod object;
mod read;
mod sniff;
mod wire;

pub use blob::{BlobError, BlobErrorKind, BlobStore, EntryName};
pub use caps::{CappedText, FileCaps, FileText, cap_texts};
pub use child::extract_main;
pub use delivery::{Delivered, Delivery, deliver};
pub use error::{ExtractError, ExtractErrorKind};
pub use extracted::{EXTRACTION_VERSION, Extracted, PreparedImage};
pub use extractor::{Extractor, ExtractorConfig, Source};
pub use fence::fence;
pub use folder::FolderBlobs;
pub use kind::FileKind;
pub use library::{FileError, FileLibrary};
pub use limits::{ExtractLimits, ImageBounds};
pub use memory::MemoryBlobs;
pub use name::{LABEL_BYTES_MAX, clean_label};
#[cfg(feature = "object-store")]
pub use object::ObjectBlobs;
pub use read::{extract_text, prepare_image};
pub use sniff::{Sniffed, sniff};
