//! Whether the words before a date say that it is today's.
//!
//! "Today is 28 November" changes every day, "founded on 28 November" never. Dates without a word
//! that says now are taken for history: a warning that is mostly wrong is not read.

/// How far back words are looked for.
const WINDOW_BYTES: usize = 48;

const NOW: [&str; 12] = [
    "today",
    "now",
    "current",
    "currently",
    "date",
    "time",
    "datetime",
    "timestamp",
    "clock",
    "generated",
    "day",
    "tonight",
];
/// Words that tie a date to something else than now.
const NOT_NOW: [&str; 32] = [
    "cutoff",
    "cut",
    "birth",
    "birthday",
    "born",
    "release",
    "released",
    "since",
    "valid",
    "effective",
    "published",
    "founded",
    "version",
    "until",
    "before",
    "after",
    "from",
    "due",
    "deadline",
    "expires",
    "expiry",
    "started",
    "joined",
    "between",
    "example",
    "format",
    "like",
    "hours",
    "opening",
    "every",
    "each",
    "per",
];
const NOW_PHRASES: [&str; 4] = ["as of ", "it is ", "it's ", "this is "];

/// The words of `line` before `at` say now, and nothing else.
pub(crate) fn says_now(line: &str, at: usize) -> bool {
    let lower = line.to_ascii_lowercase();
    let start = lower.floor_char_boundary(at.saturating_sub(WINDOW_BYTES));
    let before = lower.get(start..at).unwrap_or_default();
    // What was said in an earlier sentence is not said of this date.
    let before = before.rsplit_once(". ").map_or(before, |(_, sentence)| sentence);
    let words = || before.split(|c: char| !c.is_ascii_alphanumeric());
    let is_tied = words().any(|word| NOT_NOW.contains(&word)) || before.contains("e.g.");
    let says_now = words().any(|word| NOW.contains(&word))
        || NOW_PHRASES.iter().any(|phrase| before.ends_with(phrase));
    says_now && !is_tied
}

/// Nothing but the value stands on the line, or nothing but a weekday before it.
pub(crate) fn stands_alone(line: &str, place: &std::ops::Range<usize>) -> bool {
    let outside = [line.get(..place.start), line.get(place.end..)];
    outside.into_iter().flatten().all(|text| text.trim_matches(is_frame).is_empty())
}

fn is_frame(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '.' | ',' | '-' | '*' | '#' | '[' | ']' | '(' | ')')
}
