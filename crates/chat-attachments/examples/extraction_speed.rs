//! MB/s of extraction per format, in this process: `cargo run --release --example extraction_speed`, or with files
//! of your own as arguments.
#![expect(clippy::print_stdout, reason = "an example shows its result")]
#![expect(clippy::cast_precision_loss, reason = "a speed is shown with two digits")]

#[path = "../tests/support/files.rs"]
mod files;

use std::error::Error;
use std::time::{Duration, Instant};

use chat_attachments::{ExtractLimits, FileKind, ImageBounds, extract_text, prepare_image, sniff};

/// Each file is read until so much time has passed.
const MEASURED: Duration = Duration::from_secs(1);

fn prose(words: usize) -> String {
    (0..words).map(|n| format!("word{} ", n.wrapping_mul(2_654_435_761) % 10_007)).collect()
}

/// One file per format, of the size that such files have.
fn made() -> Vec<(&'static str, Vec<u8>)> {
    let (paragraph, cell) = (prose(60), prose(3));
    let paragraphs = vec![paragraph.as_str(); 2_000];
    let row = vec![cell.as_str(); 10];
    let rows = vec![row.as_slice(); 5_000];
    let page: String = paragraphs.iter().map(|text| format!("<p>{text}<b>x</b></p>\n")).collect();
    let lines: String = (0..40).map(|_| format!("{}\n", prose(9))).collect();
    vec![
        ("text.txt", prose(200_000).into_bytes()),
        ("table.csv", format!("{cell},{cell},{cell}\n").repeat(20_000).into_bytes()),
        (
            "data.json",
            format!("[{}1]", r#"{"a": [1, 2], "b": "text"},"#.repeat(40_000)).into_bytes(),
        ),
        ("page.html", format!("<html><body>{page}</body></html>").into_bytes()),
        ("paper.pdf", files::pdf(&vec![lines.as_str(); 100])),
        ("report.docx", files::docx("Report", &paragraphs, &row)),
        ("sheet.xlsx", files::xlsx("Sheet", &rows)),
        ("deck.pptx", files::pptx(&vec![paragraph.as_str(); 100])),
        ("photo.jpg", files::picture(4_000, 3_000, image::ImageFormat::Jpeg)),
        ("screen.png", files::picture(2_000, 1_500, image::ImageFormat::Png)),
        ("song.mp3", files::mp3(10_000)),
        ("talk.wav", files::wav(16_000, 4_000_000, 1)),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for path in std::env::args().skip(1) {
        files.push((path.clone(), std::fs::read(path)?));
    }
    if files.is_empty() {
        files = made().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    }
    let (limits, bounds) = (ExtractLimits::default(), ImageBounds::default());
    println!("{:<14} {:>10} {:>10} {:>10} {:>10}", "file", "bytes", "text", "ms", "MB/s");
    for (name, bytes) in files {
        let kind = sniff(&name, &bytes).kind;
        let (started, mut times, mut text) = (Instant::now(), 0_u32, 0);
        while times == 0 || started.elapsed() < MEASURED {
            if kind == FileKind::Image {
                text = prepare_image(&bytes, &bounds, &limits)?.bytes.len();
            } else {
                text = extract_text(kind, bytes.clone(), &limits)?.text.len();
            }
            times = times.saturating_add(1);
        }
        let each = started.elapsed() / times;
        let speed = bytes.len() as f64 / each.as_secs_f64() / 1e6;
        let ms = each.as_secs_f64() * 1e3;
        println!("{name:<14} {:>10} {text:>10} {ms:>10.2} {speed:>10.2}", bytes.len());
    }
    Ok(())
}
