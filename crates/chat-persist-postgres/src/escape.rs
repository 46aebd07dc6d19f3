//! Text as this engine can hold it: any text but U+0000, which is escaped.
//!
//! The four first control characters are written as three of them each, U+0001 and two of U+0002 and
//! U+0003; everything else stands for itself. An escape begins where U+0001 stands and nowhere else,
//! and all are equally long, so a text holds another exactly if their escaped forms do: the title
//! search works on the stored form.

use std::borrow::Cow;

use crate::error::{EngineResult, Failure};

const FIRST: char = '\u{1}';
const ZERO: char = '\u{2}';
const ONE: char = '\u{3}';

/// The stored form of `text`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte <= 3) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        let (high, low) = match c {
            '\u{0}' => (ZERO, ZERO),
            '\u{1}' => (ZERO, ONE),
            '\u{2}' => (ONE, ZERO),
            '\u{3}' => (ONE, ONE),
            plain => {
                escaped.push(plain);
                continue;
            }
        };
        escaped.extend([FIRST, high, low]);
    }
    Cow::Owned(escaped)
}

/// The text that was stored as `escaped`.
pub(crate) fn unescape(escaped: &str) -> EngineResult<String> {
    if !escaped.bytes().any(|byte| byte <= 3) {
        return Ok(escaped.to_owned());
    }
    let mut text = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        if c != FIRST {
            text.push(c);
            continue;
        }
        text.push(match (chars.next(), chars.next()) {
            (Some(ZERO), Some(ZERO)) => '\u{0}',
            (Some(ZERO), Some(ONE)) => '\u{1}',
            (Some(ONE), Some(ZERO)) => '\u{2}',
            (Some(ONE), Some(ONE)) => '\u{3}',
            _ => return Err(Failure::corrupt("a stored text is not escaped as it should be")),
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_text_comes_back_and_is_found_where_it_is() {
        let letters = ['\u{0}', '\u{1}', '\u{2}', '\u{3}', '\u{4}', 'a', 'é'];
        let mut texts = vec![String::new()];
        for _ in 0..3 {
            let longer: Vec<String> = texts
                .iter()
                .flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}")))
                .collect();
            texts.extend(longer);
        }
        for text in &texts {
            let escaped = escape(text);
            assert!(!escaped.contains('\0'));
            assert_eq!(unescape(&escaped).ok().as_ref(), Some(text));
        }
        let short: Vec<&String> = texts.iter().filter(|text| text.chars().count() <= 2).collect();
        for text in texts.iter().step_by(3) {
            for part in &short {
                let found = escape(text).contains(&*escape(part));
                assert_eq!(found, text.contains(part.as_str()), "{text:?} {part:?}");
            }
        }
    }

    #[test]
    fn what_was_never_escaped_is_corrupt() {
        assert!(unescape("a\u{1}b").is_err());
    }
}
