//! Looks an Office file over before it is parsed: all of it is unpacked into nothing, counted, and
//! its XML is checked for depth and for definitions of its own.
//!
//! Directory fields are not believed: what counts is what comes out. Archives within the archive are
//! never opened, so that nesting them multiplies nothing.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{ExtractError, ExtractErrorKind};
use crate::limits::ExtractLimits;

/// Small entries compress absurdly well and harm nobody.
const RATIO_FREE_BYTES: u64 = 100 * 1_024;

pub(super) fn inspect(bytes: &[u8], limits: &ExtractLimits) -> Result<(), ExtractError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(zip_error)?;
    if u32::try_from(archive.len()).map_or(true, |n| n > limits.archive_entries_max) {
        let detail = format!(
            "it has {} parts, and at most {} are opened",
            archive.len(),
            limits.archive_entries_max
        );
        return Err(ExtractError::bomb(detail));
    }
    let mut left = limits.archive_bytes_max;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(zip_error)?;
        let name = entry.name().map_err(zip_error)?.into_owned();
        if entry.enclosed_name().is_none() {
            return Err(ExtractError::damaged("a part's name points outside the file"));
        }
        let ratio_max = entry.compressed_size().saturating_mul(limits.archive_ratio_max);
        let entry_max = left.min(ratio_max.max(RATIO_FREE_BYTES));
        let mut counted = Counted { inner: entry, bytes: 0, max: entry_max };
        let looked = if is_xml(&name) {
            walk_xml(BufReader::new(&mut counted), limits.nesting_max)
        } else {
            Ok(())
        };
        // What the XML walk left unread is unpacked and counted all the same.
        let drained = io::copy(&mut counted, &mut io::sink());
        if counted.bytes > entry_max {
            let detail = format!("its part {} unpacks into too much", shown(&name));
            return Err(ExtractError::bomb(detail));
        }
        looked?;
        drained.map_err(|_| {
            ExtractError::damaged(format!("its part {} cannot be unpacked", shown(&name)))
        })?;
        left = left.saturating_sub(counted.bytes);
    }
    Ok(())
}

fn is_xml(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".xml", ".rels", ".vml"].iter().any(|end| name.ends_with(end))
}

/// Names within the file are the file's words.
fn shown(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_ascii_graphic()).take(60);
    format!("'{}'", kept.collect::<String>())
}

/// Reads up to one byte above `max`, then fails.
struct Counted<R> {
    inner: R,
    bytes: u64,
    max: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > self.max {
            return Err(io::Error::other("more comes out than may"));
        }
        let count = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

fn walk_xml(xml: impl BufRead, nesting_max: u32) -> Result<(), ExtractError> {
    let mut reader = Reader::from_reader(xml);
    // Writers leave small faults that parsers live with; depth is all that is asked here.
    reader.config_mut().check_end_names = false;
    let (mut depth, mut buffer) = (0_u32, Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(_)) => depth = depth.saturating_add(1),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::DocType(_)) => {
                let detail = "its XML defines entities, which Office files never do";
                return Err(ExtractError::bomb(detail));
            }
            // What cannot be read is the parser's to judge; it gets the same bytes.
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
        if depth > nesting_max {
            let detail = format!("its XML nests more than {nesting_max} deep");
            return Err(ExtractError::bomb(detail));
        }
    }
}

fn zip_error(error: ZipError) -> ExtractError {
    match error {
        ZipError::UnsupportedArchive(what) if what == ZipError::PASSWORD_REQUIRED => {
            let sentence = "the document is encrypted; save a copy without its password";
            ExtractError::refused(ExtractErrorKind::Encrypted, sentence)
        }
        other => ExtractError::damaged(other),
    }
}
