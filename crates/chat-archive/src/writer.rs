//! Writes lines as JSON: the header first, the counts last.

use std::io::Write;

use crate::error::{ArchiveError, ArchiveErrorKind};
use crate::record::{Header, LineRecord};
use crate::{ArchiveLine, Counts, Result};

/// What the header calls this kind of file.
pub const FORMAT: &str = "chat-archive";

/// The version this program writes, and the newest it reads.
pub const VERSION: u32 = 4;

/// An archive being written. Every line is one call of the writer: give it a buffered one.
///
/// Dropped before [`finish`](Self::finish), what was written has no last line, and readers say that
/// it was cut short.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    writer: W,
    counts: Counts,
    line: Vec<u8>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// `Io`.
    pub fn new(writer: W) -> Result<Self> {
        let mut archive = Self { writer, counts: Counts::default(), line: Vec::new() };
        archive.put(&LineRecord::Header(Header { format: FORMAT.to_owned(), version: VERSION }))?;
        Ok(archive)
    }

    /// Writes one line.
    ///
    /// # Errors
    /// `Io`; `BadLine` if a value has no JSON form.
    pub fn write(&mut self, line: &ArchiveLine) -> Result<()> {
        self.put(&LineRecord::from(line))?;
        self.counts.add(line);
        Ok(())
    }

    /// What was written so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the last line, flushes, and gives the writer back with what was written.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self) -> Result<(W, Counts)> {
        self.put(&LineRecord::End(self.counts))?;
        self.writer
            .flush()
            .map_err(|error| ArchiveError::io("the archive could not be written", error))?;
        Ok((self.writer, self.counts))
    }

    fn put(&mut self, record: &LineRecord<'_>) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record).map_err(|error| {
            ArchiveError::new(ArchiveErrorKind::BadLine, "a value has no JSON form")
                .caused_by(error)
        })?;
        self.line.push(b'\n');
        self.writer
            .write_all(&self.line)
            .map_err(|error| ArchiveError::io("the archive could not be written", error))
    }
}
