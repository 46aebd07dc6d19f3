#![doc = include_str!("../README.md")]

mod blob;
mod folder;
mod kind;
mod memory;
mod name;
#[cfg(feature = "object-store")]
mod object;
mod sniff;

pub use blob::{BlobError, BlobErrorKind, BlobStore, EntryName};
pub use folder::FolderBlobs;
pub use kind::FileKind;
pub use memory::MemoryBlobs;
pub use name::{LABEL_BYTES_MAX, clean_label};
#[cfg(feature = "object-store")]
pub use object::ObjectBlobs;
pub use sniff::{Sniffed, sniff};
