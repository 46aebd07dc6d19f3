//! Web pages as Markdown: headings, lists, tables and links stay, scripts and styles go.

use htmd::HtmlToMarkdown;

use super::text::decode;
use crate::error::ExtractError;
use crate::extracted::Extracted;
use crate::kind::FileKind;

/// What shows nothing, or nothing that can be read.
const SKIPPED: [&str; 9] =
    ["script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "img"];

/// Tags open at once. The parser's time grows with depth × elements, and the tree is walked by recursion;
/// browsers stop at 512.
const NESTING_MAX: u32 = 4_096;

/// Elements that have no end tag, or whose end tag is left out all the time.
const ENDLESS: [&str; 27] = [
    "area", "base", "br", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li",
    "link", "meta", "optgroup", "option", "p", "param", "source", "tbody", "td", "tfoot", "th",
    "thead", "tr", "track", "wbr",
];

/// Elements whose content is no markup.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let page = decode(bytes);
    check_nesting(&page)?;
    let converter = HtmlToMarkdown::builder().skip_tags(SKIPPED.to_vec()).build();
    let text = converter.convert(&page).map_err(ExtractError::damaged)?;
    Ok(Extracted { text, ..Extracted::of(FileKind::Html) })
}

/// Counts the tags that are open at once, as they are written. A page whose tags are in such disorder that
/// this is too low meets the limit of time instead.
fn check_nesting(page: &str) -> Result<(), ExtractError> {
    let mut depth = 0_u32;
    let mut rest = page;
    while let Some((_, from)) = rest.split_once('<') {
        rest = from;
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_end = rest.starts_with('/');
        let name = tag_name(rest.trim_start_matches('/'));
        if name.is_empty() || ENDLESS.contains(&name.as_str()) {
            continue;
        }
        if is_end {
            depth = depth.saturating_sub(1);
        } else if RAW.contains(&name.as_str()) {
            rest = after_end_of(rest, &name);
        } else {
            depth = depth.saturating_add(1);
        }
        if depth > NESTING_MAX {
            let detail = format!("its elements nest more than {NESTING_MAX} deep");
            return Err(ExtractError::bomb(detail));
        }
    }
    Ok(())
}

fn tag_name(tag: &str) -> String {
    let end = tag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(tag.len());
    tag.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// What stands after the next end tag of `name`; all is raw if there is none.
fn after_end_of<'p>(raw: &'p str, name: &str) -> &'p str {
    let mut rest = raw;
    while let Some((_, from)) = rest.split_once("</") {
        rest = from;
        if tag_name(rest) == name {
            return rest;
        }
    }
    ""
}
