//! What the bytes are: the bytes decide, a name only refines text.

mod text;
mod zip;

use crate::kind::{DOCX, FileKind, PPTX, XLSX};
use crate::name::extension;

/// Old Office files, and new ones that need a password.
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const OLD_OFFICE: &str = "application/x-ole-storage";
pub(crate) const ENCRYPTED_OFFICE: &str = "application/x-ole-storage; encrypted";

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sniffed {
    /// How it is treated.
    pub kind: FileKind,
    /// Its media type, as it is stored in the record.
    pub media_type: String,
}

impl Sniffed {
    fn new(media_type: &str) -> Self {
        Self { kind: FileKind::of_media_type(media_type), media_type: media_type.to_owned() }
    }
}

/// Tells what `bytes` are, given that they came under `name`.
///
/// Binary formats are known by their bytes alone: a program named `report.pdf` stays a program, a
/// PNG named `notes.txt` stays a PNG. Among text kinds the extension chooses, then the look of the
/// text. Linear in the bytes, allocates nothing that grows with them, never fails: what is unknown is
/// `application/octet-stream`.
#[must_use]
pub fn sniff(name: &str, bytes: &[u8]) -> Sniffed {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        let media_type = match zip::office_kind(bytes) {
            Some(FileKind::Docx) => DOCX,
            Some(FileKind::Xlsx) => XLSX,
            Some(FileKind::Pptx) => PPTX,
            _ => "application/zip",
        };
        return Sniffed::new(media_type);
    }
    if bytes.starts_with(OLE) {
        return Sniffed::new(if is_encrypted_office(bytes) {
            ENCRYPTED_OFFICE
        } else {
            OLD_OFFICE
        });
    }
    // `infer` would call some texts binary (a PEM key, a shell script, HTML with a leading space), so
    // that only what is no text is asked of it.
    let media_type = match text::Text::of(bytes) {
        Some(_) if bytes.starts_with(b"%PDF-") => "application/pdf",
        Some(text) => text.media_type(extension(name).as_deref()),
        None => binary(bytes),
    };
    Sniffed::new(media_type)
}

fn binary(bytes: &[u8]) -> &'static str {
    match infer::get(bytes).map(|found| found.mime_type()) {
        Some("audio/x-wav") => "audio/wav",
        Some("audio/x-flac") => "audio/flac",
        Some("audio/m4a") => "audio/mp4",
        Some(other) => other,
        None => "application/octet-stream",
    }
}

/// The stream of that name holds the encrypted file; names are UTF-16.
fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.windows(name.len()).any(|window| window == name)
}
