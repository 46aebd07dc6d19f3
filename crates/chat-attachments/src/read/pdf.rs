//! PDF, page by page: a page that cannot be read costs that page, not the document.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::Extracted;
use crate::kind::FileKind;
use crate::limits::ExtractLimits;

/// Pages named in the note on what could not be read.
const NAMED_PAGES_MAX: usize = 10;

pub(super) fn read(bytes: Vec<u8>, limits: &ExtractLimits) -> Result<Extracted, ExtractError> {
    let document = Document::load_mem(&bytes).map_err(load_error)?;
    drop(bytes);
    // Loading tries the empty password, which opens documents that only forbid printing.
    if document.trailer.has(b"Encrypt") && !document.was_encrypted() {
        return Err(encrypted());
    }
    let pages = u32::try_from(document.get_pages().len()).unwrap_or(u32::MAX);
    if pages == 0 {
        return Err(ExtractError::damaged("it has no pages"));
    }
    if pages > limits.pages_max {
        let sentence = format!(
            "the document has {pages} pages, and at most {} are read; split it",
            limits.pages_max
        );
        return Err(ExtractError::refused(ExtractErrorKind::TooManyPages, sentence));
    }
    let text_bytes_max = usize::try_from(limits.text_bytes_max).unwrap_or(usize::MAX);
    let (mut text, mut unread) = (String::new(), Vec::new());
    for page in 1..=pages {
        if page > 1 {
            text.push('\u{c}');
        }
        match page_text(&document, page) {
            Some(found) => push_tidy(&mut text, &found),
            None => unread.push(page),
        }
        if text.len() > text_bytes_max {
            break;
        }
    }
    if u32::try_from(unread.len()).ok() == Some(pages) {
        return Err(ExtractError::damaged("none of its pages can be read"));
    }
    let mut read = Extracted { text, pages: Some(pages), ..Extracted::of(FileKind::Pdf) };
    if read.text.chars().all(char::is_whitespace) {
        read.text.clear();
        read.notes.push("the document has no text: its pages may be scanned images".to_owned());
    }
    if !unread.is_empty() {
        read.notes.push(note(&unread));
    }
    Ok(read)
}

fn page_text(document: &Document, page: u32) -> Option<String> {
    let mut text = String::new();
    let read = catch_unwind(AssertUnwindSafe(|| {
        output_doc_page(document, &mut PlainTextOutput::new(&mut text), page)
    }));
    matches!(read, Ok(Ok(()))).then_some(text)
}

/// Lines without their trailing blanks, at most one empty line in a row: the layout of a page leaves many.
fn push_tidy(text: &mut String, page: &str) {
    let mut empty = 0_u32;
    for line in page.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty.saturating_add(1) } else { 0 };
        if empty <= 1 {
            text.push_str(line);
            text.push('\n');
        }
    }
}

fn note(unread: &[u32]) -> String {
    let named: Vec<String> = unread.iter().take(NAMED_PAGES_MAX).map(u32::to_string).collect();
    let more = if unread.len() > NAMED_PAGES_MAX { " and others" } else { "" };
    format!("{} pages could not be read: {}{more}", unread.len(), named.join(", "))
}

fn encrypted() -> ExtractError {
    let sentence = "the document is encrypted; save a copy without its password";
    ExtractError::refused(ExtractErrorKind::Encrypted, sentence)
}

fn load_error(error: pdf_extract::Error) -> ExtractError {
    match error {
        pdf_extract::Error::Decryption(_) | pdf_extract::Error::InvalidPassword => encrypted(),
        other => ExtractError::damaged(other),
    }
}
