//! Importing an archive: reading its JSON lines to the end.
//!
//! Not here: writing what was read (`importer`), and other sources of lines, which give them to an
//! [`Importer`] themselves.

use std::io::BufRead;

use crate::{ArchiveError, ArchiveReader, Counts, ImportOptions, ImportReport, Importer, Stores};

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
