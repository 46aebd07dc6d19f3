//! How much of the window files may take: one file, and all files of a message.

use chat_tokens::TokenCounter;
use chat_types::Tokens;
use serde::{Deserialize, Serialize};

/// Halvings of the search for the largest cut that fits; the rest is below 1 % of the share.
const SEARCH_STEPS: u32 = 10;

/// Of what is kept, the head gets so much and the tail the rest: a document says early what it is, and
/// ends with what it comes to.
const HEAD_PERCENT: usize = 70;

/// Shares of the window, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FileCaps {
    /// One file. 25: a question about one file leaves room for the talk around it.
    pub file_percent: u32,
    /// All files of one message together. 50: half of the window stays for everything else.
    pub message_percent: u32,
}

impl Default for FileCaps {
    fn default() -> Self {
        Self { file_percent: 25, message_percent: 50 }
    }
}

/// A file's text, before it is cut.
#[derive(Clone, Copy, Debug)]
pub struct FileText<'t> {
    /// The file's label, for the mark at the cut.
    pub name: &'t str,
    /// All of its text.
    pub text: &'t str,
    /// The size of `text`, if it is known; counting a long text takes a while.
    pub tokens: Option<Tokens>,
}

/// A file's text as it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CappedText {
    /// Head, mark and tail, or all of it; empty if not even the mark fits.
    pub text: String,
    /// Its size, the mark included.
    pub tokens: Tokens,
    /// What was left out; zero if nothing was.
    pub left_out: Tokens,
}

/// Fits the texts of one message's files into their shares of `window`. No text comes out above the share
/// of one file, all together stay within the share of a message. Where all do not fit, small files stay
/// whole and the large ones share what remains evenly.
#[must_use]
pub fn cap_texts<C: TokenCounter + ?Sized>(
    files: &[FileText<'_>],
    window: Tokens,
    caps: FileCaps,
    counter: &C,
) -> Vec<CappedText> {
    let per_file = percent(window, caps.file_percent);
    let sizes: Vec<Tokens> = files
        .iter()
        .map(|file| file.tokens.unwrap_or_else(|| counter.count_text(file.text)))
        .collect();
    let wanted: Vec<Tokens> = sizes.iter().map(|size| (*size).min(per_file)).collect();
    let level = level(&wanted, percent(window, caps.message_percent));
    let shares = wanted.iter().map(|wanted| (*wanted).min(level));
    files
        .iter()
        .zip(sizes)
        .zip(shares)
        .map(|((file, size), share)| cap_text(file, size, share, counter))
        .collect()
}

fn percent(window: Tokens, percent: u32) -> Tokens {
    let share = u128::from(window.get()) * u128::from(percent.min(100)) / 100;
    Tokens::new(u64::try_from(share).unwrap_or(u64::MAX))
}

/// The height at which all that is wanted, cut off there, fits into `total`.
fn level(wanted: &[Tokens], total: Tokens) -> Tokens {
    let mut sorted = wanted.to_vec();
    sorted.sort();
    let mut left = total.get();
    let mut waiting = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
    for want in sorted {
        let even = left.checked_div(waiting).unwrap_or(0);
        if want.get() > even {
            return Tokens::new(even);
        }
        left = left.saturating_sub(want.get());
        waiting = waiting.saturating_sub(1);
    }
    total
}

fn cap_text<C: TokenCounter + ?Sized>(
    file: &FileText<'_>,
    size: Tokens,
    share: Tokens,
    counter: &C,
) -> CappedText {
    if size <= share {
        return CappedText { text: file.text.to_owned(), tokens: size, left_out: Tokens::ZERO };
    }
    let length = file.text.len();
    // Text is about as dense all over, so the search begins at twice the even guess.
    let guess = u128::try_from(length).unwrap_or(u128::MAX).saturating_mul(share.get().into())
        / u128::from(size.get().max(1));
    let (mut low, mut high): (usize, usize) =
        (0, usize::try_from(guess.saturating_mul(2)).unwrap_or(length).min(length));
    let mut best = CappedText { text: String::new(), tokens: Tokens::ZERO, left_out: size };
    for step in 0..SEARCH_STEPS {
        // The first try keeps nothing but the mark: the least that says that there was a file.
        let kept_bytes = if step == 0 { 0 } else { low.midpoint(high) };
        let text = cut(file, size, kept_bytes, counter);
        let tokens = counter.count_text(&text.0);
        if tokens <= share {
            low = kept_bytes;
            best = CappedText { text: text.0, tokens, left_out: text.1 };
        } else if step == 0 {
            break;
        } else {
            high = kept_bytes;
        }
    }
    best
}

/// Head and tail of `kept_bytes` together with the mark between them, and what is left out.
fn cut<C: TokenCounter + ?Sized>(
    file: &FileText<'_>,
    size: Tokens,
    kept_bytes: usize,
    counter: &C,
) -> (String, Tokens) {
    let head_bytes = kept_bytes.saturating_mul(HEAD_PERCENT) / 100;
    let head_end = file.text.floor_char_boundary(head_bytes);
    let tail_start = file.text.len().saturating_sub(kept_bytes.saturating_sub(head_bytes));
    let tail_start = file.text.ceil_char_boundary(tail_start).max(head_end);
    let head = file.text.get(..head_end).unwrap_or_default();
    let tail = file.text.get(tail_start..).unwrap_or_default();
    let kept = counter.count_text(head).plus(counter.count_text(tail));
    let left_out = size.minus(kept);
    let mark = format!("[{left_out} tokens of {} are left out here]", file.name);
    (format!("{head}\n{mark}\n{tail}").trim().to_owned(), left_out)
}
