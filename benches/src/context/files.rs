//! A file of every format, as large as people attach them, and the program that reads them.

use std::io::Cursor;
use std::path::PathBuf;

use anyhow::Context as _;
use image::{ImageFormat, Rgb, RgbImage};

use crate::office_files as office;

/// Sides of the photo in pixels: beyond what is sent, so that it is scaled.
const PHOTO_PX: (u32, u32) = (2_400, 1_800);

/// `chat-extract`, which is built beside this program.
///
/// # Errors
/// It is not there.
pub(crate) fn extracting_program() -> anyhow::Result<PathBuf> {
    let name = format!("chat-extract{}", std::env::consts::EXE_SUFFIX);
    let program = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(program.is_file(), "{} is built by `cargo xtask bench`", program.display());
    Ok(program)
}

/// Words that compress about as prose does, the same at every run.
struct Prose(fastrand::Rng);

impl Prose {
    fn words(&mut self, words: usize) -> String {
        let word = |_| format!("word{} ", self.0.u32(0..10_000));
        (0..words).map(word).collect()
    }

    fn lines(&mut self, lines: usize, words: usize) -> String {
        (0..lines).map(|_| self.words(words) + "\n").collect()
    }

    fn texts(&mut self, texts: usize, words: usize) -> Vec<String> {
        (0..texts).map(|_| self.words(words)).collect()
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Name and bytes of one file per format that has text.
///
/// Packed formats are counted as they are packed: that is the size which people see.
pub(crate) fn with_text() -> Vec<(&'static str, Vec<u8>)> {
    let mut prose = Prose(fastrand::Rng::with_seed(1));
    let text = prose.lines(40_000, 12);
    let markdown = (0..4_000)
        .map(|number| format!("## Section {number}\n\n- {}\n\n", prose.lines(3, 40).trim()))
        .collect::<String>();
    let rows = prose.texts(60_000, 2);
    let csv = rows.iter().map(|cell| format!("1,{cell},2.5,\"{cell}\",{cell}\n"));
    let csv: String = csv.collect();
    let objects = rows.iter().map(|cell| format!(r#"{{"id": [1, 2], "name": "{cell}"}}"#));
    let json = format!("[{}]", objects.collect::<Vec<_>>().join(",\n"));
    let paragraphs = prose.texts(6_000, 60);
    let html: String = paragraphs.iter().map(|text| format!("<p>{text}<b>end</b></p>\n")).collect();
    let pages = (0..300).map(|_| prose.lines(40, 9)).collect::<Vec<_>>();
    let cells = prose.texts(50_000, 3);
    let cells = borrowed(&cells);
    let sheet: Vec<&[&str]> = cells.chunks(10).collect();
    let paragraphs = borrowed(&paragraphs);
    let slides = paragraphs.get(..400).unwrap_or(&paragraphs);
    vec![
        ("text.txt", text.into_bytes()),
        ("notes.md", markdown.into_bytes()),
        ("table.csv", csv.into_bytes()),
        ("data.json", json.into_bytes()),
        ("page.html", format!("<html><body>{html}</body></html>").into_bytes()),
        ("paper.pdf", office::pdf(&borrowed(&pages))),
        ("report.docx", office::docx("Report", &paragraphs, &["a", "b"])),
        ("sheet.xlsx", office::xlsx("Sheet", &sheet)),
        ("deck.pptx", office::pptx(slides)),
    ]
}

/// A PNG of some megabytes: a gradient with the noise that a sensor leaves.
///
/// # Errors
/// It cannot be encoded.
pub(crate) fn photo() -> anyhow::Result<Vec<u8>> {
    let mut noise = fastrand::Rng::with_seed(2);
    let (width, height) = PHOTO_PX;
    let shade = |at: u32, of: u32| u8::try_from(at * 200 / of).unwrap_or(u8::MAX);
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let grain = noise.u8(0..8);
        let [red, green] = [shade(x, width), shade(y, height)];
        Rgb([red.saturating_add(grain), green.saturating_add(grain), grain])
    });
    let mut bytes = Vec::new();
    let encoded = picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
    encoded.context("the photo cannot be encoded")?;
    Ok(bytes)
}
