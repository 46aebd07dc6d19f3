//! The model itself: what it answers, word by word, within its cap. Pure.

use std::collections::VecDeque;

use chat_types::{FinishReason, Role, Tokens, Usage};

use crate::wire::EchoRequest;

/// A whole answer, already cut to the cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Each is one word with the white space after it: one delta, one token.
    pub(crate) words: VecDeque<String>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) usage: Usage,
}

impl Reply {
    /// Answers `request` with at most `output_cap` words.
    pub(crate) fn new(request: &EchoRequest, output_cap: Tokens) -> Self {
        let text = answer(request);
        let output_words = text.split_whitespace().count();
        let cap = usize::try_from(output_cap.get()).unwrap_or(usize::MAX);
        let input_words: usize =
            request.lines.iter().map(|line| line.text.split_whitespace().count()).sum();
        Self {
            words: words(&text).take(cap).collect(),
            finish_reason: if output_words > cap {
                FinishReason::Length
            } else {
                FinishReason::Stop
            },
            usage: Usage {
                input_uncached: Tokens::from_len(input_words),
                output: Tokens::from_len(output_words.min(cap)),
                ..Usage::default()
            },
        }
    }
}

/// `You said: …`; after a trailing assistant message that is a start of it, the rest of it.
fn answer(request: &EchoRequest) -> String {
    let said = request
        .lines
        .iter()
        .rfind(|line| line.role == Role::User)
        .map_or("", |line| line.text.as_str());
    let whole = format!("You said: {said}");
    match request.lines.last() {
        Some(line) if line.role == Role::Assistant => {
            whole.strip_prefix(line.text.as_str()).map(str::to_owned).unwrap_or(whole)
        }
        Some(_) | None => whole,
    }
}

/// The words of `text`, each with the white space after it; the first with what is before it too.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|letter: char| !letter.is_whitespace())?;
        let word = rest.get(start..)?;
        let end = word.find(char::is_whitespace).unwrap_or(word.len());
        let space = word.get(end..)?;
        let after = space.trim_start().len();
        let (piece, tail) = rest.split_at_checked(rest.len().checked_sub(after)?)?;
        rest = tail;
        Some(piece.to_owned())
    })
}
