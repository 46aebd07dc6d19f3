//! Web pages as Markdown: headings, lists, tables and links stay, scripts and styles go.

use htmd::HtmlToMarkdown;

use super::text::decode;
use crate::error::ExtractError;
use crate::extracted::Extracted;
use crate::kind::FileKind;

/// What shows nothing, or nothing that can be read.
const SKIPPED: [&str; 9] =
    ["script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "img"];

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let page = decode(bytes);
    let converter = HtmlToMarkdown::builder().skip_tags(SKIPPED.to_vec()).build();
    let text = converter.convert(&page).map_err(ExtractError::damaged)?;
    Ok(Extracted { text, ..Extracted::of(FileKind::Html) })
}
