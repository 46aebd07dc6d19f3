//! Which Office format a ZIP archive holds, by the names in it; nothing is unpacked.

use crate::kind::FileKind;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const CENTRAL_HEADER: &[u8] = b"PK\x01\x02";
const DIRECTORY_END: &[u8] = b"PK\x05\x06";

/// The end record is 22 bytes and a comment of at most 65,535.
const DIRECTORY_END_BYTES_MAX: usize = 22 + 65_535;

/// Office writers put their main part among the first few dozen entries.
const ENTRIES_MAX: usize = 4_096;

/// A cut archive has no directory; its first local headers still tell.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

pub(super) fn office_kind(bytes: &[u8]) -> Option<FileKind> {
    by_directory(bytes).or_else(|| by_local_headers(bytes))
}

fn kind_of_entry(name: &[u8]) -> Option<FileKind> {
    if name.starts_with(b"word/") {
        Some(FileKind::Docx)
    } else if name.starts_with(b"xl/") {
        Some(FileKind::Xlsx)
    } else if name.starts_with(b"ppt/") {
        Some(FileKind::Pptx)
    } else {
        None
    }
}

fn by_directory(bytes: &[u8]) -> Option<FileKind> {
    let from = bytes.len().saturating_sub(DIRECTORY_END_BYTES_MAX);
    let end = from.checked_add(find_last(bytes.get(from..)?, DIRECTORY_END)?)?;
    let mut at = u32_at(bytes, end.checked_add(16)?)?;
    let (mut is_package, mut kind) = (false, None);
    for _ in 0..ENTRIES_MAX {
        let header = bytes.get(at..)?;
        if !header.starts_with(CENTRAL_HEADER) {
            break;
        }
        let lengths = [u16_at(header, 28)?, u16_at(header, 30)?, u16_at(header, 32)?];
        let name = header.get(46..)?.get(..lengths[0])?;
        is_package |= name == b"[Content_Types].xml";
        kind = kind.or_else(|| kind_of_entry(name));
        if is_package && kind.is_some() {
            return kind;
        }
        at = lengths.iter().try_fold(at.checked_add(46)?, |at, length| at.checked_add(*length))?;
    }
    None
}

fn by_local_headers(bytes: &[u8]) -> Option<FileKind> {
    let head = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
    let (mut is_package, mut kind) = (false, None);
    for (at, window) in head.windows(LOCAL_HEADER.len()).enumerate() {
        if window != LOCAL_HEADER {
            continue;
        }
        let Some(header) = head.get(at..) else { break };
        let name = u16_at(header, 26).and_then(|length| header.get(30..)?.get(..length));
        let Some(name) = name else { continue };
        is_package |= name == b"[Content_Types].xml";
        kind = kind.or_else(|| kind_of_entry(name));
    }
    kind.filter(|_| is_package)
}

fn find_last(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).rposition(|window| window == pattern)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_le_bytes(field.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(field.try_into().ok()?)).ok()
}
