//! The smallest pieces of a text that chunks are made of: sentences and lines; of longer ones runs
//! of words; of words without an end runs of characters.

use crate::chunker::Count;
use crate::chunker::headings::Headings;
use crate::error::Result;

/// Bytes that count as a token at least: some tokenizers take a word of any length for one.
const TOKEN_BYTES_MAX: usize = 16;

/// Words are taken together up to this size, so that a line of megabytes is not counted word by
/// word.
const WORDS_BYTES: usize = 48;

/// How good a place is to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seam {
    /// Within a word.
    None,
    /// Between words.
    Word,
    /// Between lines of one sentence.
    Line,
    /// Between sentences.
    Sentence,
    /// At an empty line.
    Paragraph,
    /// Before a heading.
    Section,
}

/// A piece with the white space after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) first: usize,
    pub(crate) end: usize,
    /// Its tokens, at least 1.
    pub(crate) size: usize,
    /// The seam at its start.
    pub(crate) before: Seam,
}

/// Splits all of `text`; no unit is larger than `size_max`.
pub(crate) fn units(
    text: &str,
    headings: &Headings,
    size_max: usize,
    count: Count<'_>,
) -> Result<Vec<Unit>> {
    let mut splitter = Splitter { size_max, count, units: Vec::new() };
    let mut byte = 0_usize;
    let mut before = Seam::Section;
    for line in text.split_inclusive('\n') {
        if headings.begins_at(byte) {
            before = Seam::Section;
        }
        if line.trim().is_empty() {
            splitter.extend_last(line.len());
            before = before.max(Seam::Paragraph);
        } else {
            let mut place = byte;
            for sentence in sentences(line) {
                splitter.push(place, sentence, before)?;
                place = place.saturating_add(sentence.len());
                before = Seam::Sentence;
            }
            before = if ends_sentence(line.trim_end()) { Seam::Sentence } else { Seam::Line };
        }
        byte = byte.saturating_add(line.len());
    }
    Ok(splitter.units)
}

struct Splitter<'c> {
    size_max: usize,
    count: Count<'c>,
    units: Vec<Unit>,
}

impl Splitter<'_> {
    /// White space belongs to what stands before it.
    fn extend_last(&mut self, bytes: usize) {
        if let Some(last) = self.units.last_mut() {
            last.end = last.end.saturating_add(bytes);
            let least = last.end.saturating_sub(last.first).div_ceil(TOKEN_BYTES_MAX);
            last.size = last.size.max(least);
        }
    }

    fn size(&self, text: &str) -> Result<usize> {
        let least = text.len().div_ceil(TOKEN_BYTES_MAX).max(1);
        if least > self.size_max {
            return Ok(least);
        }
        let counted = usize::try_from((self.count)(text)?.get()).unwrap_or(usize::MAX);
        Ok(counted.max(least))
    }

    fn push(&mut self, first: usize, text: &str, before: Seam) -> Result<()> {
        let size = self.size(text)?;
        if size <= self.size_max {
            let end = first.saturating_add(text.len());
            self.units.push(Unit { first, end, size, before });
            return Ok(());
        }
        let mut place = first;
        for words in runs_of_words(text) {
            let seam = if place == first { before } else { Seam::Word };
            self.push_words(place, words, seam)?;
            place = place.saturating_add(words.len());
        }
        Ok(())
    }

    /// Cuts between characters what is still too long. A piece that does not fit is halved, so that
    /// each character is counted a few times at most.
    fn push_words(&mut self, first: usize, text: &str, before: Seam) -> Result<()> {
        let (mut place, mut rest, mut seam) = (first, text, before);
        while !rest.is_empty() {
            let mut bytes = rest.len().min(self.size_max.saturating_mul(4));
            loop {
                let end = rest.ceil_char_boundary(bytes);
                let piece = rest.get(..end).unwrap_or(rest);
                let size = self.size(piece)?;
                if size <= self.size_max || end <= rest.ceil_char_boundary(1) {
                    let size = size.min(self.size_max);
                    let end = place.saturating_add(piece.len());
                    self.units.push(Unit { first: place, end, size, before: seam });
                    rest = rest.get(piece.len()..).unwrap_or_default();
                    (place, seam) = (end, Seam::None);
                    break;
                }
                bytes = bytes.min(end) / 2;
            }
        }
        Ok(())
    }
}

/// Sentences of a line, each with the white space after it.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (sentence, after) = rest.split_at(sentence_end(rest));
        rest = after;
        Some(sentence)
    })
}

/// Where the first sentence of `text` ends: after a mark and white space, unless a small letter
/// follows, as after an abbreviation.
fn sentence_end(text: &str) -> usize {
    let mut was_mark = false;
    let mut was_space = false;
    for (place, character) in text.char_indices() {
        if character.is_whitespace() {
            was_space = was_mark;
        } else if was_space && !character.is_lowercase() {
            return place;
        } else {
            was_space = false;
            was_mark = match character {
                '.' | '!' | '?' => true,
                '"' | '\'' | ')' | ']' | '”' | '’' => was_mark,
                '。' | '！' | '？' => return place.saturating_add(character.len_utf8()),
                _ => false,
            };
        }
    }
    text.len()
}

fn ends_sentence(line: &str) -> bool {
    line.trim_end_matches(['"', '\'', ')', ']', '”', '’'])
        .ends_with(['.', '!', '?', '。', '！', '？', ':'])
}

/// Runs of words of about [`WORDS_BYTES`], each with the white space after it.
fn runs_of_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        let mut was_space = false;
        for (place, character) in rest.char_indices() {
            if was_space && !character.is_whitespace() && place >= WORDS_BYTES {
                end = place;
                break;
            }
            was_space = character.is_whitespace();
        }
        let (words, after) = rest.split_at(end);
        rest = after;
        Some(words)
    })
}
