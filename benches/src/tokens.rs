//! `bench tokens`: how fast text is counted, per core.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter, count_stored};
use chat_types::{ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp};

use crate::table::{Table, Target};

/// How long each text is counted over and over.
const RUN: Duration = Duration::from_secs(1);

pub(crate) fn run(repository: &Path) -> anyhow::Result<Table> {
    let mut table = Table::new("tokens");
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let prose =
        gather(repository, &["md"], 400_000)? + &gather(repository, &["LICENSE-APACHE"], 20_000)?;
    let code = gather(repository, &["rs"], 1_000_000)?;
    let hostile = "a".repeat(1_000_000);
    let spaces = " ".repeat(1_000_000);
    let emoji = "👩‍👩‍👧‍👦".repeat(40_000);
    table.add(
        "o200k, prose (this project's documents)",
        speed(&counter, &prose),
        "MB/s",
        Target::AtLeast(32.0),
    );
    table.add(
        "o200k, code (this project's sources)",
        speed(&counter, &code),
        "MB/s",
        Target::Shown,
    );
    table.add("o200k, 1 MB of one letter", speed(&counter, &hostile), "MB/s", Target::Shown);
    table.add("o200k, 1 MB of spaces", speed(&counter, &spaces), "MB/s", Target::Shown);
    table.add("o200k, 1 MB of joined emoji", speed(&counter, &emoji), "MB/s", Target::Shown);
    let short = hostile.get(..100_000).unwrap_or_default();
    let ratio = seconds_for(&counter, &hostile) / seconds_for(&counter, short);
    table.add("one letter: time for 1 MB over time for 100 KB", ratio, "x", Target::AtMost(15.0));
    table.add(
        "a stored count, looked up",
        stored_nanoseconds(&counter, &prose)?,
        "ns",
        Target::AtMost(1_000.0),
    );
    Ok(table)
}

/// Texts of the repository with these endings, up to `bytes_max`.
pub(crate) fn gather(
    repository: &Path,
    endings: &[&str],
    bytes_max: usize,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder)
            .with_context(|| format!("{} cannot be read", folder.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) && text.len() < bytes_max
            {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    Ok(text)
}

fn seconds_for(counter: &OpenAiCounter, text: &str) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        std::hint::black_box(counter.count_text(std::hint::black_box(text)));
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn speed(counter: &OpenAiCounter, text: &str) -> f64 {
    std::hint::black_box(counter.count_text("warm"));
    let start = Instant::now();
    let mut bytes = 0.0;
    while start.elapsed() < RUN {
        std::hint::black_box(counter.count_text(std::hint::black_box(text)));
        bytes += u32::try_from(text.len()).map_or(0.0, f64::from);
    }
    bytes / start.elapsed().as_secs_f64() / 1_000_000.0
}

/// A message with a stored count costs a look-up, whatever its length.
fn stored_nanoseconds(counter: &OpenAiCounter, text: &str) -> anyhow::Result<f64> {
    let mut message = Message {
        id: MessageId::new("m")?,
        conversation: ConversationId::new("c")?,
        parent: None,
        role: Role::User,
        parts: vec![ContentPart::text(text)],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    };
    message.token_counts.push(count_stored(counter, &message).0);
    let rounds = 100_000_u32;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(count_stored(counter, std::hint::black_box(&message)));
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds))
}
