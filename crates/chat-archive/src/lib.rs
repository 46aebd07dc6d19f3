#![doc = include_str!("../README.md")]

mod counts;
mod error;
mod export;
mod import;
mod import_report;
mod importer;
mod kept;
mod line;
mod page;
mod reader;
mod record;
mod stores;
mod write_page;
mod writer;

pub use counts::Counts;
pub use error::{ArchiveError, ArchiveErrorKind};
pub use export::{ExportReport, ExportScope, export};
pub use import::{Failed, Progress, import};
pub use import_report::{ImportOptions, ImportReport};
pub use importer::Importer;
pub use line::ArchiveLine;
pub use reader::{ArchiveReader, LINE_BYTES_MAX};
pub use stores::{LedgerPorts, Stores};
pub use writer::{ArchiveWriter, FORMAT, VERSION};

/// What reading and writing an archive answers with.
pub type Result<T, E = ArchiveError> = std::result::Result<T, E>;
