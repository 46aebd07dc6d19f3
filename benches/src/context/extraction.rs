//! Reading attached files in a child process: megabytes per second of each format, and one child alone.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chat_attachments::{Extractor, ExtractorConfig, FileKind, ImageBounds, Source, sniff};

use super::files::{extracting_program, photo, with_text};
use crate::samples::{count, milliseconds, percentile};
use crate::table::{Table, Target};

/// Each file is read over and over for so long, and at least so often.
const RUN: Duration = Duration::from_millis(1_500);
const READINGS_MIN: usize = 3;
/// A busy machine makes a figure low; it does not end the bench. The limit on CPU time stays as it is.
const DEADLINE_MS: u64 = 60_000;
/// Readings of the tiny file.
const TINY_READINGS: usize = 50;

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = ExtractorConfig::new(extracting_program()?);
    config.limits.deadline_ms = DEADLINE_MS;
    let extractor = Extractor::new(config);
    let tiny = folder.path().join("tiny.txt");
    std::fs::write(&tiny, "One line.\n")?;
    let mut samples = Vec::with_capacity(TINY_READINGS);
    for _ in 0..TINY_READINGS {
        samples.push(read(&extractor, &tiny, FileKind::Text).await?);
    }
    let alone = percentile(&mut samples, 50);
    table.add("extraction: one child, a tiny file, p50", alone, "ms", Target::Shown);
    let mut files = with_text();
    files.push(("photo.png", photo()?));
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes)?;
        let megabytes = count(bytes.len()) / 1_000_000.0;
        let seconds = seconds_for(&extractor, &path, sniff(name, &bytes).kind).await;
        let seconds = seconds.with_context(|| format!("{name} cannot be measured"))?;
        let figure = format!("extraction: {name}, {megabytes:.1} MB");
        table.add(figure, megabytes / seconds, "MB/s", Target::Shown);
    }
    Ok(())
}

/// The median of reading one file, its child's start included.
async fn seconds_for(extractor: &Extractor, path: &Path, kind: FileKind) -> anyhow::Result<f64> {
    let mut samples = Vec::new();
    let start = Instant::now();
    while samples.len() < READINGS_MIN || start.elapsed() < RUN {
        samples.push(read(extractor, path, kind).await?);
    }
    Ok(percentile(&mut samples, 50) / 1_000.0)
}

/// Milliseconds of reading a file once: its text, or the image that is sent.
async fn read(extractor: &Extractor, path: &Path, kind: FileKind) -> anyhow::Result<f64> {
    let source = Source::Path(path.to_owned());
    let start = Instant::now();
    let is_empty = match kind {
        FileKind::Image => extractor.image(source, &ImageBounds::default()).await?.bytes.is_empty(),
        _ => extractor.text(source, kind).await?.text.trim().is_empty(),
    };
    let took = milliseconds(start);
    anyhow::ensure!(!is_empty, "nothing was read from {}", path.display());
    Ok(took)
}
