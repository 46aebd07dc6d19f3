//! Cuts texts whose runs without a break are too long for a tokenizer that is not linear in them.

/// No real word comes near this; above it a tokenizer may need time quadratic in the run, or
/// exceed its regex engine's backtracking limit and panic.
pub(crate) const RUN_BYTES_MAX: usize = 1_024;

/// `text` in pieces that hold no run of one class (white space or not) above [`RUN_BYTES_MAX`].
///
/// A text without such a run comes back whole, so ordinary counts stay exact.
pub(crate) fn short_runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let piece = rest.take()?;
        let Some((head, tail)) = cut(piece).and_then(|at| piece.split_at_checked(at)) else {
            return Some(piece);
        };
        rest = Some(tail);
        Some(head)
    })
}

/// Where the first run that is too long must be cut: a character's start, never 0.
fn cut(text: &str) -> Option<usize> {
    let mut run_start = 0;
    let mut run_is_space = false;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() != run_is_space {
            run_is_space = !run_is_space;
            run_start = at;
        }
        if at.saturating_sub(run_start) >= RUN_BYTES_MAX {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) {
        let pieces: Vec<&str> = short_runs(text).collect();
        assert_eq!(pieces.concat(), text);
        // A run may end with the character that crosses the bound: four bytes at most.
        let longest =
            pieces.iter().flat_map(|piece| piece.split(char::is_whitespace)).map(str::len).max();
        assert!(longest.unwrap_or(0) <= RUN_BYTES_MAX + 3);
    }

    #[test]
    fn ordinary_text_stays_whole() {
        let text = "a word ".repeat(10_000);
        assert_eq!(short_runs(&text).count(), 1);
        assert_eq!(short_runs("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn long_runs_are_cut_at_characters_and_nothing_is_lost() {
        check(&"a".repeat(5_000));
        check(&"🦀".repeat(5_000));
        check(&format!("x {} y", "é".repeat(3_000)));
        assert_eq!(short_runs(&" ".repeat(4_096)).count(), 4);
    }
}
