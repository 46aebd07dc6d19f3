//! Counts texts in every vocabulary, and shows that hostile texts cost time in proportion.
//!
//! `cargo run -p chat-tokens --example count` prints the tokens of a few texts per encoding. With
//! the argument `speed` it also prints the time for 100 KB and 1 MB of texts made to be slow: the
//! last column is their ratio; ten is linear, a hundred is quadratic. Build it with `--release`
//! for the speeds; the ratios hold either way.

#![expect(clippy::print_stdout, reason = "an example speaks on stdout")]

use std::time::{Duration, Instant};

use chat_tokens::{EstimateCounter, OpenAiCounter, OpenAiEncoding, TokenCounter};

const SMALL_BYTES: usize = 100_000;
const LARGE_BYTES: usize = 1_000_000;
/// Times are the best of this many, so that a busy machine does not look quadratic.
const RUNS: u32 = 3;
const TEXTS: [(&str, &str); 10] = [
    ("prose", "The quick brown fox jumps over the lazy dog. "),
    ("code", "    if let Some(item) = items.get(index) {\n"),
    ("one letter", "a"),
    ("emoji", "🦀"),
    ("spaces", " "),
    ("newlines", "\n"),
    ("punctuation", "!"),
    ("cjk", "漢"),
    ("capitals", "A"),
    ("marks", "\u{301}"),
];

fn main() {
    let counters: Vec<Box<dyn TokenCounter>> = OpenAiEncoding::ALL
        .into_iter()
        .map(|encoding| Box::new(OpenAiCounter::new(encoding)) as Box<dyn TokenCounter>)
        .chain([Box::new(EstimateCounter::new()) as Box<dyn TokenCounter>])
        .collect();

    for text in ["Hello, world!", "Zwölf Boxkämpfer", "東京都", "🦀🦀", "fn main() {}\n"] {
        println!("{text:?}");
        for counter in &counters {
            println!("  {:<12} {:>3}", counter.tokenizer().as_str(), counter.count_text(text));
        }
    }

    if std::env::args().nth(1).as_deref() == Some("speed") {
        for counter in &counters {
            print_speed(counter.as_ref());
        }
    }
}

fn print_speed(counter: &dyn TokenCounter) {
    println!(
        "\n{:<12} {:>9} {:>9} {:>7} {:>7}",
        counter.tokenizer().as_str(),
        "100 KB",
        "1 MB",
        "MB/s",
        "ratio"
    );
    counter.count_text("builds the vocabulary");
    for (name, unit) in TEXTS {
        let small = best_time(counter, &filled(unit, SMALL_BYTES));
        let large = best_time(counter, &filled(unit, LARGE_BYTES));
        println!(
            "{name:<12} {:>7.1}ms {:>7.1}ms {:>7.1} {:>7.1}",
            small.as_secs_f64() * 1e3,
            large.as_secs_f64() * 1e3,
            1.0 / large.as_secs_f64(),
            large.as_secs_f64() / small.as_secs_f64(),
        );
    }
}

fn filled(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes.div_ceil(unit.len()))
}

fn best_time(counter: &dyn TokenCounter, text: &str) -> Duration {
    let time = || {
        let start = Instant::now();
        std::hint::black_box(counter.count_text(text));
        start.elapsed()
    };
    (0..RUNS).map(|_| time()).min().unwrap_or_default()
}
