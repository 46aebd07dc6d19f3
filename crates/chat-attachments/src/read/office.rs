//! Word, Excel and PowerPoint as Markdown; slides and sheets are marked by comments with their names.

use undoc::render::{RenderOptions, SectionMarkerStyle, to_markdown};

use super::archive::inspect;
use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::Extracted;
use crate::kind::FileKind;
use crate::limits::ExtractLimits;

pub(super) fn read(
    kind: FileKind,
    bytes: &[u8],
    limits: &ExtractLimits,
) -> Result<Extracted, ExtractError> {
    inspect(bytes, limits)?;
    let mut document = undoc::parse_bytes(bytes).map_err(refusal)?;
    // Pictures were unpacked with the document; nothing here shows them.
    document.resources.clear();
    let mut options = RenderOptions::new().with_images(false);
    options.escape_special_chars = false;
    options.section_markers = SectionMarkerStyle::Comment;
    let text = to_markdown(&document, &options).map_err(refusal)?;
    let sections = u32::try_from(document.sections.len()).ok();
    // A Word file has no pages before it is laid out.
    let pages = sections.filter(|_| kind != FileKind::Docx);
    Ok(Extracted { text, pages, ..Extracted::of(kind) })
}

fn refusal(error: undoc::Error) -> ExtractError {
    match error {
        undoc::Error::Encrypted => {
            let sentence = "the document is encrypted; save a copy without its password";
            ExtractError::refused(ExtractErrorKind::Encrypted, sentence)
        }
        // It unpacks again, and believes the directory's sizes less than `inspect` had to.
        undoc::Error::ZipArchive(message) if message.contains("decompression bomb") => {
            ExtractError::bomb("one of its parts unpacks into too much")
        }
        other => ExtractError::damaged(other),
    }
}
