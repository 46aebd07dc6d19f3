//! Words: the same for documents and queries, and never syntax.

use chat_rag::{TermWeights, query_terms, stem, terms};
use proptest::prelude::*;

#[test]
fn words_are_lower_case_runs_of_letters_and_digits() {
    assert_eq!(terms("Don't PANIC: error_4711!"), ["don", "t", "panic", "error", "4711"]);
    assert_eq!(terms("e\u{301}te\u{301} ÜBER"), ["e\u{301}te\u{301}", "über"]);
}

#[test]
fn scripts_without_spaces_give_pairs() {
    assert_eq!(terms("東京都 x 猫"), ["東京", "京都", "x", "猫"]);
    assert_eq!(terms("OK日本go"), ["ok", "日本", "go"]);
}

#[test]
fn a_question_is_searched_by_what_it_asks_for() {
    assert_eq!(query_terms("How do I descale the kettle? The kettle!"), ["descale", "kettle"]);
    assert_eq!(query_terms("to be or not to be"), ["to", "be", "or", "not"]);
    assert_eq!(query_terms("?!"), [""; 0]);
}

#[test]
fn endings_are_compared_away() {
    for (left, right) in
        [("connections", "connecting"), ("licences", "licence"), ("retries", "retry")]
    {
        assert_eq!(stem(left), stem(right));
    }
    assert_ne!(stem("using"), stem("use"));
    assert_eq!(stem("été"), "été");
}

#[test]
fn rare_words_weigh_more_than_common_ones() {
    let weights = TermWeights::new([("kettle".to_owned(), 1), ("water".to_owned(), 90)], 100);
    let (rare, common) = (weights.covered_by("Kettles"), weights.covered_by("water, water"));
    assert!(rare > 0.8 && common < 0.2 && common > 0.0, "{rare} {common}");
    assert!((rare + common - 1.0).abs() < 1e-9);
    assert_eq!(weights.covered_by("tea"), 0.0);
    assert_eq!(TermWeights::default().covered_by("tea"), 0.0);
}

proptest! {
    #[test]
    fn terms_are_words_only(text in "\\PC{0,200}") {
        for term in terms(&text).iter().chain(&query_terms(&text)) {
            prop_assert!(!term.is_empty());
            prop_assert!(!term.chars().any(|c| c.is_ascii_punctuation() || c.is_whitespace() || c.is_control()));
        }
    }

    #[test]
    fn a_text_covers_itself(text in "[a-z ]{1,80}") {
        let words = query_terms(&text);
        let weights = TermWeights::new(words.iter().map(|word| (word.clone(), 1)), 10);
        let covered = weights.covered_by(&text);
        prop_assert!(words.is_empty() || (covered - 1.0).abs() < 1e-9);
    }
}
