//! Splitting: nothing is lost, nothing is longer than allowed, every place is right.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "helpers of tests may fail the test")]

use std::time::Instant;

use chat_rag::{Chunk, Chunker, DOCUMENT_BYTES_MAX, Document, RagErrorKind, Result};
use chat_types::{FileId, Tokens};
use proptest::prelude::*;

fn document(text: &str, media_type: &str) -> Document {
    let media_type = media_type.to_owned();
    Document { media_type, ..Document::new(FileId::new("doc").unwrap(), "guide.md", text) }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that the chunker asks for")]
fn letters(text: &str) -> Result<Tokens> {
    Ok(Tokens::from_len(text.chars().count().div_ceil(4)))
}

fn split(document: &Document) -> Vec<Chunk> {
    Chunker::new(16, 4).unwrap().chunk(document, &letters).unwrap()
}

const GUIDE: &str = "# Guide\n\nWelcome to the guide.\n\n## Install\n\nRun the installer and wait \
until it is done. Then restart the machine, and log in as the user that you created.\n\n```\n# not \
a heading\n```\n\n## Use\n\n### Daily\n\nPress the button.\n\n# Appendix\n\nThanks.\n";

#[test]
fn markdown_is_split_at_headings_which_stay_with_the_text() {
    let chunks = split(&document(GUIDE, "text/markdown; charset=utf-8"));
    let heading = |words: &str| {
        let chunk = chunks.iter().find(|chunk| chunk.text.contains(words));
        chunk.map(|chunk| chunk.heading.as_str())
    };
    assert_eq!(heading("Run the installer"), Some("guide.md > Guide > Install"));
    assert_eq!(heading("Press the button"), Some("guide.md > Guide > Use > Daily"));
    assert_eq!(heading("Thanks"), Some("guide.md > Appendix"));
    assert_eq!(heading("not a heading"), Some("guide.md > Guide > Install"));
}

#[test]
fn plain_text_has_no_headings() {
    let chunks = split(&document("# a comment\nx = 1\n", "text/x-python"));
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].heading, "guide.md");
    assert_eq!(chunks[0].location.lines, Some((1, 2)));
}

#[test]
fn nul_becomes_a_space_and_moves_no_place() {
    let chunks = split(&document("one\0two\n\nthree", "text/plain"));
    assert_eq!(chunks[0].text, "one two\n\nthree");
}

#[test]
fn text_without_a_letter_gives_no_chunk() {
    for text in ["", " \n\n", "--- *** ---"] {
        assert_eq!(split(&document(text, "text/markdown")), [], "{text:?}");
    }
}

#[test]
fn bounds_are_refused_by_name() {
    let chunker = Chunker::default();
    let long = document(&"a".repeat(DOCUMENT_BYTES_MAX + 1), "text/plain");
    assert_eq!(chunker.chunk(&long, &letters).unwrap_err().kind(), RagErrorKind::TooLarge);
    for name in ["", "a\nb", &"n".repeat(256)] {
        let named = Document { name: name.to_owned(), ..document("text", "text/plain") };
        let error = chunker.chunk(&named, &letters).unwrap_err();
        assert_eq!(error.kind(), RagErrorKind::Invalid, "{name:?}");
        assert!(error.to_string().contains("name of doc"), "{error}");
    }
    for (tokens, overlap) in [(15, 0), (8_193, 0), (100, 26)] {
        assert!(Chunker::new(tokens, overlap).is_err());
    }
}

#[test]
fn hostile_texts_take_time_in_proportion() {
    let chunker = Chunker::default();
    let length = 400_000;
    for (what, text) in [
        ("one word", "a".repeat(length)),
        ("brackets", "[".repeat(length)),
        ("quotes", "> ".repeat(length / 2)),
        ("lists", "- ".repeat(length / 2)),
        ("emphasis", "*a _b ".repeat(length / 6)),
        ("no words", " ".repeat(length)),
        ("one line", "a b ".repeat(length / 4)),
        ("combining", format!("a{}", "\u{301}".repeat(length / 2))),
        ("fences", "```\n".repeat(length / 4)),
    ] {
        for media_type in ["text/markdown", "text/plain"] {
            let start = Instant::now();
            let chunks = chunker.chunk(&document(&text, media_type), &letters).unwrap();
            let elapsed = start.elapsed();
            println!("{what:10} {media_type:14} {:6} chunks {elapsed:?}", chunks.len());
            assert!(elapsed.as_secs() < 20, "{what} as {media_type} took {elapsed:?}");
        }
    }
}

proptest! {
    #[test]
    fn every_chunk_is_a_place_of_the_document_within_the_bound(
        pieces in prop::collection::vec("(# [a-z]{1,9}\n|[a-z]{1,12} |é日本 |\\. |\n\n|- |\\r\n|[a-z]{60,90}){0,20}", 0..6),
        is_markdown in any::<bool>(),
    ) {
        let text = pieces.concat();
        let document = document(&text, if is_markdown { "text/markdown" } else { "text/plain" });
        let chunks = split(&document);
        let mut covered = 0;
        for (chunk, number) in chunks.iter().zip(1_u32..) {
            prop_assert_eq!(chunk.number, number);
            let (first, end) = chunk.location.bytes.unwrap();
            let (first, end) = (usize::try_from(first).unwrap(), usize::try_from(end).unwrap());
            prop_assert_eq!(text.get(first..end), Some(chunk.text.as_str()));
            let line = text[..first].matches('\n').count() + 1;
            prop_assert_eq!(chunk.location.lines.unwrap().0, u32::try_from(line).unwrap());
            prop_assert!(chunk.tokens <= Tokens::new(16), "{:?}", chunk);
            // No word stands between two chunks.
            prop_assert!(!text[covered.min(first)..first].chars().any(char::is_alphanumeric));
            covered = covered.max(end);
        }
        prop_assert!(!text[covered..].chars().any(char::is_alphanumeric));
        prop_assert_eq!(split(&document), chunks);
    }
}
