//! Splits a document into chunks at its own seams: headings, paragraphs, sentences, words.
//!
//! A chunk is a part of the document's text, no longer than the bound in tokens; neighbours share
//! some, so that a sentence at a seam is whole in one of them. Each knows its place and the
//! headings it stands under. The same text gives the same chunks.
//! The time is in proportion to the text, whatever the text: the splitters there are take minutes
//! for a few hundred kilobytes without a break, which every document with an embedded image has.

mod headings;
mod units;

use chat_types::Tokens;

use crate::document::Document;
use crate::error::{RagError, RagErrorKind, Result};
use crate::snippet::Location;
use headings::Headings;
use units::{Seam, Unit, units};

/// The most chunks of one document: what [`crate::DOCUMENT_BYTES_MAX`] of dense text gives at the
/// default size, with room.
const CHUNKS_MAX: usize = 200_000;

/// Counts the tokens of a text.
pub(crate) type Count<'c> = &'c dyn Fn(&str) -> Result<Tokens>;

/// One piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counted from 1.
    pub number: u32,
    /// The text, as it stands in the document.
    pub text: String,
    /// Bytes and lines.
    pub location: Location,
    /// The document's name and the headings above, outermost first: what a reader of the whole
    /// document knows at this place.
    pub heading: String,
    /// The text's tokens, by the counter it was split with.
    pub tokens: Tokens,
}

impl Chunk {
    /// What is embedded: the text below what it is about.
    #[must_use]
    pub fn text_to_embed(&self) -> String {
        format!("{}\n{}", self.heading, self.text)
    }
}

/// How documents are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunker {
    tokens_max: usize,
    overlap: usize,
}

impl Default for Chunker {
    /// 224 tokens, so that a chunk and its headings are read whole by a model of 256, 32 (a seventh)
    /// of them shared.
    fn default() -> Self {
        Self { tokens_max: 224, overlap: 32 }
    }
}

impl Chunker {
    /// Chunks of at most `tokens_max` tokens that share up to `overlap` with their neighbour.
    ///
    /// # Errors
    /// `Invalid` if `tokens_max` is below 16 (no sentence fits) or above 8,192 (no embedding model
    /// reads more), or `overlap` above a quarter of it (chunks would barely move on).
    pub fn new(tokens_max: usize, overlap: usize) -> Result<Self> {
        if (16..=8_192).contains(&tokens_max) && overlap <= tokens_max / 4 {
            return Ok(Self { tokens_max, overlap });
        }
        let detail = format!(
            "chunks of {tokens_max} tokens with {overlap} shared; 16 to 8,192 are allowed, and a \
             quarter of them shared"
        );
        Err(RagError::new(RagErrorKind::Invalid, "set up chunking", detail))
    }

    /// Names the way of splitting: documents split in another way are indexed anew.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("chunks-1:{}/{}", self.tokens_max, self.overlap)
    }

    /// Splits `document`. A text without a letter gives no chunk. A chunk is never longer than 16
    /// bytes for each token that it may have, whatever `count` says.
    ///
    /// # Errors
    /// As [`Document::check`]; what `count` fails with; `TooLarge` for more than 200,000 chunks.
    pub fn chunk(
        &self,
        document: &Document,
        count: &dyn Fn(&str) -> Result<Tokens>,
    ) -> Result<Vec<Chunk>> {
        document.check()?;
        // Some stores cannot keep NUL. A space has the same length, so that places stay right.
        let text = document.text.replace('\0', " ");
        let headings = match document.is_markdown() {
            true => Headings::of_markdown(&text),
            false => Headings::default(),
        };
        let units = units(&text, &headings, self.tokens_max, count)?;
        let mut lines = Lines { text: &text, byte: 0, line: 1 };
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut rest = units.as_slice();
        while !rest.is_empty() {
            let (taken, piece) = self.next(&text, rest, count)?;
            if let Some((piece, tokens)) = piece {
                if chunks.len() == CHUNKS_MAX {
                    let detail = format!("more than {CHUNKS_MAX} chunks; split the document");
                    return Err(RagError::new(RagErrorKind::TooLarge, "chunk", detail));
                }
                let first_line = lines.line_of(piece.first);
                let last_line = first_line.saturating_add(line_breaks(piece.text));
                let below_headings =
                    rest.iter().take(taken).find(|unit| !headings.begins_at(unit.first));
                let place = below_headings.map_or(piece.first, |unit| unit.first);
                chunks.push(Chunk {
                    number: u32::try_from(chunks.len().saturating_add(1)).unwrap_or(u32::MAX),
                    text: piece.text.to_owned(),
                    location: Location {
                        bytes: Some((wide(piece.first), wide(piece.end()))),
                        lines: Some((first_line, last_line)),
                        page: None,
                    },
                    heading: headings.path(&document.name, place),
                    tokens,
                });
            }
            rest = rest.get(taken.saturating_sub(self.shared(rest, taken))..).unwrap_or_default();
        }
        Ok(chunks)
    }

    /// How many of `rest` make the next chunk, and the chunk, unless there is no word in it. The
    /// whole can have more tokens than its parts together; then it is made shorter.
    fn next<'t>(
        &self,
        text: &'t str,
        rest: &[Unit],
        count: Count<'_>,
    ) -> Result<(usize, Option<(Piece<'t>, Tokens)>)> {
        let mut taken = self.take(rest);
        loop {
            let Some(piece) = Piece::of(text, rest.get(..taken).unwrap_or(rest)) else {
                return Ok((taken, None));
            };
            let tokens = count(piece.text)?;
            if taken <= 1 || tokens <= Tokens::from_len(self.tokens_max) {
                return Ok((taken, Some((piece, tokens))));
            }
            taken = taken.saturating_sub((taken / 8).max(1));
        }
    }

    /// How many of `rest` make the next chunk, at least 1: all that fit, cut back to the strongest
    /// seam of the second half; a new section begins a chunk already after a quarter.
    fn take(&self, rest: &[Unit]) -> usize {
        let mut size = 0_usize;
        let mut best = (Seam::None, 0);
        for (place, unit) in rest.iter().enumerate() {
            let half = if unit.before == Seam::Section { 4 } else { 2 };
            if place > 0 && size >= self.tokens_max / half && unit.before >= best.0 {
                best = (unit.before, place);
                if unit.before == Seam::Section {
                    return place;
                }
            }
            size = size.saturating_add(unit.size);
            if size > self.tokens_max {
                return if best.1 > 0 { best.1 } else { place.max(1) };
            }
        }
        rest.len()
    }

    /// How many of the `taken` units are repeated in the next chunk: never all, and none across
    /// sections or at the end.
    fn shared(&self, rest: &[Unit], taken: usize) -> usize {
        let Some(next) = rest.get(taken).filter(|next| next.before != Seam::Section) else {
            return 0;
        };
        // What is shared and what follows must fit together, or the next chunk brings nothing new.
        let room = self.overlap.min(self.tokens_max.saturating_sub(next.size));
        let mut size = 0_usize;
        let repeated = rest.get(1..taken).unwrap_or_default().iter().rev().take_while(|unit| {
            size = size.saturating_add(unit.size);
            size <= room
        });
        repeated.count()
    }
}

/// A chunk's text in its document.
struct Piece<'t> {
    first: usize,
    text: &'t str,
}

impl<'t> Piece<'t> {
    /// The text of `units` without empty lines at its start and white space at its end; none if
    /// there is no word in it.
    fn of(text: &'t str, units: &[Unit]) -> Option<Self> {
        let (first, end) = (units.first()?.first, units.last()?.end);
        let whole = text.get(first..end)?.trim_end();
        let blank = whole.len().saturating_sub(whole.trim_start().len());
        // Indentation of the first line stays: it means something in code.
        let kept_from = whole.get(..blank).and_then(|blank| blank.rfind('\n'));
        let skipped = kept_from.map_or(0, |line_break| line_break.saturating_add(1));
        let text = whole.get(skipped..)?;
        text.chars()
            .any(char::is_alphanumeric)
            .then_some(Self { first: first.saturating_add(skipped), text })
    }

    fn end(&self) -> usize {
        self.first.saturating_add(self.text.len())
    }
}

/// Line numbers of places, the text between two looked at once.
struct Lines<'t> {
    text: &'t str,
    byte: usize,
    line: u32,
}

impl Lines<'_> {
    fn line_of(&mut self, byte: usize) -> u32 {
        let between = self.text.get(self.byte..byte).unwrap_or_default();
        self.line = self.line.saturating_add(line_breaks(between));
        self.byte = self.byte.max(byte);
        self.line
    }
}

fn line_breaks(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

fn wide(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}
