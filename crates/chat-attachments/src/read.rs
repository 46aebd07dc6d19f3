//! The readers, one per format. They run in the child; what they cannot bound, the process bounds.

mod archive;
mod audio;
mod html;
mod image;
mod office;
mod pdf;
mod text;

use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::{Extracted, PreparedImage};
use crate::kind::FileKind;
use crate::limits::{ExtractLimits, ImageBounds};

/// Reads text and facts of `bytes`, taken as `kind`, in this process and without its limits of memory
/// and time: for benches, and for programs that trust their files. A parser may panic.
///
/// # Errors
/// As the kinds say; the same bytes give the same answer.
pub fn extract_text(
    kind: FileKind,
    bytes: Vec<u8>,
    limits: &ExtractLimits,
) -> Result<Extracted, ExtractError> {
    check_size(&bytes, limits)?;
    let mut read = match kind {
        FileKind::Text | FileKind::Markdown | FileKind::Code | FileKind::Csv | FileKind::Json => {
            text::read(kind, &bytes, limits)?
        }
        FileKind::Html => html::read(&bytes)?,
        FileKind::Pdf => pdf::read(bytes, limits)?,
        FileKind::Docx | FileKind::Xlsx | FileKind::Pptx => office::read(kind, &bytes, limits)?,
        FileKind::Image => image::facts(&bytes, limits)?,
        FileKind::Audio => audio::read(bytes, limits)?,
        FileKind::Other => {
            let sentence = "nothing can be read from this kind of file";
            return Err(ExtractError::refused(ExtractErrorKind::Unsupported, sentence));
        }
    };
    cut(&mut read, limits.text_bytes_max);
    Ok(read)
}

/// Makes of an image what is sent, in this process, as [`extract_text`] reads.
///
/// # Errors
/// As the kinds say; the same bytes give the same answer.
pub fn prepare_image(
    bytes: &[u8],
    bounds: &ImageBounds,
    limits: &ExtractLimits,
) -> Result<PreparedImage, ExtractError> {
    check_size(bytes, limits)?;
    image::prepare(bytes, bounds, limits)
}

pub(crate) fn too_large(size_bytes: u64, limits: &ExtractLimits) -> ExtractError {
    let sentence = format!(
        "the file is too large: {} MiB, and at most {} MiB are taken",
        size_bytes.div_ceil(1_024 * 1_024),
        limits.input_bytes_max / (1_024 * 1_024)
    );
    ExtractError::refused(ExtractErrorKind::TooLarge, sentence)
}

fn check_size(bytes: &[u8], limits: &ExtractLimits) -> Result<(), ExtractError> {
    match u64::try_from(bytes.len()) {
        Ok(size) if size <= limits.input_bytes_max => Ok(()),
        size => Err(too_large(size.unwrap_or(u64::MAX), limits)),
    }
}

/// Cuts the text at a character, and drops the NUL bytes that some stores refuse.
fn cut(read: &mut Extracted, text_bytes_max: u64) {
    if read.text.contains('\0') {
        read.text.retain(|c| c != '\0');
    }
    let max = usize::try_from(text_bytes_max).unwrap_or(usize::MAX);
    if read.text.len() > max {
        let mut end = max;
        while !read.text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        read.text.truncate(end);
        read.is_truncated = true;
    }
}
