//! The shape of a chunk that says nothing but a piece of text, so that the next one like it is not parsed.
//!
//! Most servers write the same bytes around every piece of text of a reply. If only the inside of
//! one JSON string differs, and it has no escapes, then parsing would give the same chunk with the
//! other text: comparing the bytes around it proves that, for a tenth of the cost. A chunk that
//! differs anywhere else is parsed as ever. Not here: what a chunk means (`decode`).

use std::borrow::Cow;

use crate::wire::{Completion, Text};

/// Shapes above this are not kept. 4 KiB: a vendor's has some 300 bytes.
const SHAPE_BYTES_MAX: usize = 4 * 1024;

/// What kind of text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// A part of the reply.
    Text,
    /// A part of the reasoning before it.
    Reasoning,
}

/// The bytes around the text of the last chunk that said nothing else.
#[derive(Debug)]
pub(crate) struct Shape {
    kind: TextKind,
    /// Up to the quote before the text.
    before: String,
    /// From the quote after it.
    after: String,
}

impl Shape {
    /// None yet: fits nothing.
    pub(crate) const fn none() -> Self {
        Self { kind: TextKind::Text, before: String::new(), after: String::new() }
    }

    /// The text in `data`, if it differs from the kept chunk in nothing else.
    pub(crate) fn text<'a>(&self, data: &'a str) -> Option<(TextKind, &'a str)> {
        if self.before.is_empty() {
            return None;
        }
        let text = data.strip_prefix(self.before.as_str())?;
        let text = text.strip_suffix(self.after.as_str())?;
        is_plain(text).then_some((self.kind, text))
    }

    /// Keeps the shape of `chunk`, which was parsed from `data`, if it says one text and nothing else.
    pub(crate) fn keep(&mut self, data: &str, chunk: &Completion<'_>) {
        let Some((kind, text)) = only_text(chunk) else {
            return;
        };
        let Some(start) = text.as_ptr().addr().checked_sub(data.as_ptr().addr()) else {
            return;
        };
        let end = start.saturating_add(text.len());
        let (Some(before), Some(after)) = (data.get(..start), data.get(end..)) else {
            return;
        };
        let is_string = before.ends_with('"') && after.starts_with('"');
        if is_string && before.len().saturating_add(after.len()) <= SHAPE_BYTES_MAX {
            self.kind = kind;
            before.clone_into(&mut self.before);
            after.clone_into(&mut self.after);
        }
    }
}

/// Whether a JSON string with this inside means just that.
fn is_plain(text: &str) -> bool {
    // No early end: texts are short, and this way eight or more bytes are looked at together.
    text.bytes()
        .fold(true, |is_plain, byte| is_plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

/// The text, if it is all that `chunk` says.
fn only_text<'a>(chunk: &Completion<'a>) -> Option<(TextKind, &'a str)> {
    let Some([choice]) = chunk.choices.as_deref() else {
        return None;
    };
    let delta = choice.delta.as_ref()?;
    let is_more = chunk.error.is_some()
        || chunk.usage.is_some()
        || choice.index.0.is_some_and(|index| index != 0)
        || choice.message.is_some()
        || choice.finish_reason.is_some()
        || delta.reasoning_details.is_some()
        || delta.tool_calls.is_some();
    if is_more {
        return None;
    }
    let reasoning = [&delta.reasoning_content, &delta.reasoning];
    let texts = [&delta.content, &delta.refusal];
    let reasoning = reasoning.map(|text| (TextKind::Reasoning, text));
    let texts = texts.map(|text| (TextKind::Text, text));
    let mut said = reasoning.into_iter().chain(texts);
    let (kind, text) = said.find(|(_, text)| is_said(text))?;
    if said.any(|(_, text)| is_said(text)) {
        return None;
    }
    match text {
        Some(Text(Cow::Borrowed(text))) => Some((kind, text)),
        _ => None,
    }
}

fn is_said(text: &Option<Text<'_>>) -> bool {
    text.as_ref().is_some_and(|text| !text.0.is_empty())
}
