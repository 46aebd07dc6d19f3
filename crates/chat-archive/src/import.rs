//! Importing an archive: how, what came of it, and reading its JSON lines to the end.
//!
//! Not here: writing what was read (`importer`), and other sources of lines, which give them to an
//! [`Importer`] themselves.

use std::io::BufRead;

use crate::{ArchiveError, ArchiveReader, Counts, Importer, Stores};

/// How to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Read and count everything, look up which conversations are there, and write nothing.
    pub dry_run: bool,
    /// Leave accounts, holds and entries out instead of refusing them where there is no ledger.
    pub leave_ledger_out: bool,
    /// Messages and files that are there and differ stay as they are and are counted, instead of
    /// refusing the page: the source goes on, and what was carried over may be edited in it.
    pub keep_what_differs: bool,
}

/// What an import read and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read, whether or not they were new.
    pub lines: Counts,
    /// Conversations that were there before; their messages were compared, new ones added.
    pub conversations_there: u64,
    /// Conversations left without a head because the message that it names did not come.
    pub heads_missing: u64,
    /// Turns left out because their conversation is not there: it was deleted while the archive
    /// was written.
    pub turns_homeless: u64,
    /// Accounts, openings, holds and entries left out because that was asked for.
    pub ledger_left_out: u64,
    /// Messages that differ from those that are there, which stay: see
    /// [`ImportOptions::keep_what_differs`]. A dry run does not compare.
    pub messages_kept: u64,
    /// Files of which the same is true.
    pub files_kept: u64,
}

/// Called with the counts so far, after every page.
pub type Progress<'p> = &'p mut (dyn FnMut(&Counts) + Send);

/// An import that did not reach its end, and what was read before it stopped.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped after {} lines", report.lines.total())]
pub struct Failed {
    /// What was read. Everything in it was written, unless the source is of kind `Store`: then the
    /// lines it names were not.
    pub report: ImportReport,
    /// Why it stopped.
    #[source]
    pub source: ArchiveError,
}

/// Imports an archive of JSON lines.
///
/// Reading blocks the calling task for as long as `reader` does: give it a file, or run it where
/// nothing else waits.
///
/// # Errors
/// The first line that cannot be read or written. What came before it is written all the same, also
/// when the archive turns out to be cut short.
pub async fn import<R: BufRead + Send>(
    reader: R,
    stores: &Stores,
    options: ImportOptions,
    progress: Progress<'_>,
) -> Result<ImportReport, Failed> {
    let mut importer = Importer::new(stores.clone(), options);
    let nothing = ImportReport::default();
    let mut archive =
        ArchiveReader::new(reader).map_err(|source| Failed { report: nothing, source })?;
    loop {
        let line = match archive.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(source) => {
                let report = importer.report();
                let report = importer.finish().await.map_err(|source| Failed { report, source })?;
                return Err(Failed { report, source });
            }
        };
        importer.number_next(archive.line_number());
        match importer.take(line).await {
            Ok(true) => progress(&importer.report().lines),
            Ok(false) => {}
            Err(source) => return Err(Failed { report: importer.report(), source }),
        }
    }
    let report = importer.report();
    let report = importer.finish().await.map_err(|source| Failed { report, source })?;
    progress(&report.lines);
    Ok(report)
}
