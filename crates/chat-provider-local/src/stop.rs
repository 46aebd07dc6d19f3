//! Ends a text at the first of some stop texts, also when one arrives in pieces.
//!
//! Promises: no stop text and nothing after it is ever let through; text is held back only while
//! it may be the beginning of a stop text.

/// The stop texts of one answer and what is held back.
#[derive(Debug)]
pub(crate) struct StopFilter {
    stops: Vec<String>,
    held: String,
}

impl StopFilter {
    /// Empty stop texts must not be given.
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// What may be shown after `text` arrived, and whether a stop text was reached.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(place) = found {
            self.held.truncate(place);
            return (self.rest(), true);
        }
        let kept = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let tail = self.held.split_off(self.held.len().saturating_sub(kept));
        (std::mem::replace(&mut self.held, tail), false)
    }

    /// What was held back, when the answer ends.
    pub(crate) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that is a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let mut beginnings = stop.char_indices().rev().filter_map(|(place, _)| stop.get(..place));
    beginnings.find(|beginning| text.ends_with(beginning)).map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown for `pieces`, and after which piece it stopped.
    fn shown(stops: &[&str], pieces: &[&str]) -> (Vec<String>, Option<usize>) {
        let mut filter = StopFilter::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut texts = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let (text, is_stopped) = filter.push(piece);
            texts.push(text);
            if is_stopped {
                return (texts, Some(index));
            }
        }
        texts.push(filter.rest());
        (texts, None)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn without_stop_texts_everything_passes_at_once() {
        assert_eq!(shown(&[], &["a", "b"]), (texts(&["a", "b", ""]), None));
    }

    #[test]
    fn stop_text_in_pieces_is_never_shown() {
        assert_eq!(
            shown(&["\nUser:"], &["Hi", "\nUs", "er", ": and more"]),
            (texts(&["Hi", "", "", ""]), Some(3))
        );
    }

    #[test]
    fn held_back_text_is_shown_when_it_was_none() {
        assert_eq!(
            shown(&["éä!"], &["xé", "ä", "?", "é"]),
            (texts(&["x", "", "éä?", "", "é"]), None)
        );
    }

    #[test]
    fn earliest_stop_text_wins() {
        assert_eq!(shown(&["c", "bc"], &["abcd"]), (texts(&["a"]), Some(0)));
        assert_eq!(shown(&["aab"], &["aaa", "ab"]), (texts(&["a", "a"]), Some(1)));
    }
}
