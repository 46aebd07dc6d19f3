//! Head and tail of a text, with a mark between that says how much was cut.

/// How a text is shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortening {
    /// The characters of the text that are left; the mark comes on top.
    pub(crate) chars_max: usize,
    /// How many of them, in percent, are the head.
    pub(crate) head_percent: u32,
}

/// `text` shortened; none if that would not make it shorter.
pub(crate) fn shorten(text: &str, how: Shortening) -> Option<String> {
    if text.len() <= how.chars_max {
        return None;
    }
    let total = text.chars().count();
    let cut = total.checked_sub(how.chars_max).filter(|cut| *cut > 0)?;
    let percent = usize::try_from(how.head_percent.min(100)).unwrap_or(100);
    // Divided first, so that no product can overflow; at most a percent of the head is lost.
    let head = if how.chars_max < 10_000 {
        how.chars_max * percent / 100
    } else {
        how.chars_max / 100 * percent
    };
    let tail = how.chars_max.saturating_sub(head);
    let head_end = text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let tail_start = match tail.checked_sub(1) {
        Some(last) => text.char_indices().nth_back(last).map_or(0, |(at, _)| at),
        None => text.len(),
    };
    let (head, tail) = (text.get(..head_end)?, text.get(tail_start..)?);
    let short = format!("{head}\n[... {cut} of {total} characters left out ...]\n{tail}");
    (short.len() < text.len()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, chars_max: usize, head_percent: u32, expected: Option<&str>) {
        let short = shorten(text, Shortening { chars_max, head_percent });
        assert_eq!(short.as_deref(), expected, "{chars_max} {head_percent}");
    }

    #[test]
    fn head_and_tail_are_left_and_the_mark_says_how_much_was_cut() {
        let text = format!("head{}tail", "é".repeat(92));
        let mark = "\n[... 92 of 100 characters left out ...]\n";
        check(&text, 8, 50, Some(&format!("head{mark}tail")));
        let mark = "\n[... 96 of 100 characters left out ...]\n";
        check(&text, 4, 100, Some(&format!("head{mark}")));
        check(&text, 4, 0, Some(&format!("{mark}tail")));
        let mark = "\n[... 100 of 100 characters left out ...]\n";
        check(&text, 0, 70, Some(mark));
    }

    #[test]
    fn what_would_not_become_shorter_stays() {
        check("", 0, 70, None);
        check("short", 0, 70, None);
        check("short", 5, 70, None);
        check(&"a".repeat(100), 99, 70, None);
        check(&"é".repeat(100), 100, 70, None);
        check(&"a".repeat(100), usize::MAX, 70, None);
    }
}
