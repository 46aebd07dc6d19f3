//! A place to read files in, and files to read.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "each suite uses its own part"
)]

mod files;

use std::sync::Arc;

use chat_attachments::{
    BlobStore, ExtractLimits, Extractor, ExtractorConfig, FileLibrary, MemoryBlobs,
};
use chat_types::{ManualClock, SequentialIds, Timestamp};

pub(crate) use files::*;

pub(crate) fn config() -> ExtractorConfig {
    ExtractorConfig::new(env!("CARGO_BIN_EXE_chat-extract"))
}

pub(crate) fn extractor() -> Extractor {
    Extractor::new(config())
}

pub(crate) fn limited(change: impl FnOnce(&mut ExtractLimits)) -> Extractor {
    let mut config = config();
    change(&mut config.limits);
    Extractor::new(config)
}

pub(crate) fn library_over(blobs: Arc<dyn BlobStore>, extractor: Extractor) -> FileLibrary {
    let clock = ManualClock::starting_at(Timestamp::from_unix_ms(1_700_000_000_000));
    let ids = SequentialIds::new("file");
    FileLibrary::new(blobs, Arc::new(extractor), Arc::new(ids), Arc::new(clock))
}

pub(crate) fn library() -> FileLibrary {
    library_over(Arc::new(MemoryBlobs::new()), extractor())
}
