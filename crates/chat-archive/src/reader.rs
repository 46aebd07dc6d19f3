//! Reads lines of JSON: the header is checked first, the counts last, every line is bounded.

use std::io::{BufRead, Read as _};

use crate::error::{ArchiveError, ArchiveErrorKind, Lines};
use crate::record::{LineRecord, Read};
use crate::writer::{FORMAT, VERSION};
use crate::{ArchiveLine, Counts, Result};

/// The longest line that is read: sixty-four times the largest text that the suites put into one
/// message, and little enough to be held in memory twice.
pub const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An archive being read.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    reader: R,
    line_bytes_max: u64,
    buffer: Vec<u8>,
    /// The number of the line read last.
    number: u64,
    counts: Counts,
    ended: bool,
}

impl<R: BufRead> ArchiveReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `NotAnArchive`; `UnknownVersion`; `Truncated` if there is nothing at all; `Io`.
    pub fn new(reader: R) -> Result<Self> {
        Self::with_line_bytes_max(reader, LINE_BYTES_MAX)
    }

    /// The same with another bound on the length of a line.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn with_line_bytes_max(reader: R, line_bytes_max: u64) -> Result<Self> {
        let mut archive = Self {
            reader,
            line_bytes_max,
            buffer: Vec::new(),
            number: 0,
            counts: Counts::default(),
            ended: false,
        };
        let no_archive = || {
            let detail = "the file is no archive of this program";
            ArchiveError::new(ArchiveErrorKind::NotAnArchive, detail).at(Lines::one(1))
        };
        let header = match archive.next_record() {
            Ok(Some(Read::Header(header))) if header.format == FORMAT => header,
            Ok(Some(_)) => return Err(no_archive()),
            Ok(None) => return Err(archive.truncated()),
            Err(error) if error.kind() == ArchiveErrorKind::BadLine => return Err(no_archive()),
            Err(error) => return Err(error),
        };
        if header.version == 0 || header.version > VERSION {
            let detail = format!(
                "the archive has version {}, this program reads up to {VERSION}; \
                 use the program that wrote it or a newer one",
                header.version
            );
            return Err(ArchiveError::new(ArchiveErrorKind::UnknownVersion, detail));
        }
        Ok(archive)
    }

    /// The next line; none after the last one, whose counts have been checked then.
    ///
    /// # Errors
    /// `BadLine` with its number; `Truncated` if the last line is missing; `CountsDiffer`;
    /// `OutOfPlace` for a second header or anything after the last line; `Io`. After an error the
    /// archive should not be read on.
    pub fn next_line(&mut self) -> Result<Option<ArchiveLine>> {
        if self.ended {
            return Ok(None);
        }
        match self.next_record()? {
            Some(Read::Line(line)) => {
                self.counts.add(&line);
                Ok(Some(*line))
            }
            Some(Read::Header(_)) => Err(self.out_of_place("a second header")),
            Some(Read::End(counts)) => {
                if counts != self.counts {
                    let detail = format!(
                        "the last line says {} lines, {} were read",
                        counts.total(),
                        self.counts.total()
                    );
                    let error = ArchiveError::new(ArchiveErrorKind::CountsDiffer, detail);
                    return Err(error.at(Lines::one(self.number)));
                }
                self.ended = true;
                if self.next_record()?.is_some() {
                    return Err(self.out_of_place("something after the last line"));
                }
                Ok(None)
            }
            None => Err(self.truncated()),
        }
    }

    /// The number of the line that was read last, counted from 1.
    #[must_use]
    pub fn line_number(&self) -> u64 {
        self.number
    }

    fn next_record(&mut self) -> Result<Option<Read>> {
        self.buffer.clear();
        let bound = self.line_bytes_max.saturating_add(1);
        let read = self.reader.by_ref().take(bound).read_until(b'\n', &mut self.buffer);
        let read =
            read.map_err(|error| ArchiveError::io("the archive could not be read", error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let place = Lines::one(self.number);
        let is_whole = self.buffer.ends_with(b"\n");
        if !is_whole && u64::try_from(self.buffer.len()).unwrap_or(u64::MAX) >= bound {
            let detail = format!("the line is longer than {} bytes", self.line_bytes_max);
            return Err(ArchiveError::new(ArchiveErrorKind::BadLine, detail).at(place));
        }
        match serde_json::from_slice::<LineRecord<'static>>(&self.buffer) {
            Ok(record) => Ok(Some(record.into())),
            // Cut within a line: the rest of the archive is missing, the line is not wrong.
            Err(error) if !is_whole && error.is_eof() => Err(self.truncated()),
            Err(error) => {
                let detail = "the line cannot be read";
                let error = ArchiveError::new(ArchiveErrorKind::BadLine, detail).caused_by(error);
                Err(error.at(place))
            }
        }
    }

    fn truncated(&self) -> ArchiveError {
        let detail = format!(
            "the archive ends after {} lines without its last line: it was cut short, or its \
             export failed",
            self.number
        );
        ArchiveError::new(ArchiveErrorKind::Truncated, detail)
    }

    fn out_of_place(&self, what: &str) -> ArchiveError {
        let detail = format!("there is {what}");
        ArchiveError::new(ArchiveErrorKind::OutOfPlace, detail).at(Lines::one(self.number))
    }
}
