//! What goes into the prompt: no doubles, nothing below the floor, never over the budget.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use chat_rag::{
    DropReason, Location, Snippet, SnippetId, dedupe, drop_below, fence, fit, relevance,
};
use chat_types::{FileId, Tokens};
use proptest::prelude::*;

fn snippet(document: &str, chunk: u32, bytes: (u64, u64), text: &str) -> Snippet {
    Snippet {
        id: SnippetId::new(FileId::new(document).unwrap(), chunk),
        name: format!("{document}.txt"),
        location: Location { bytes: Some(bytes), lines: None, page: None },
        text: text.to_owned(),
        score: 0.5,
        rank: chunk,
    }
}

fn ids(snippets: &[Snippet]) -> Vec<String> {
    snippets.iter().map(|snippet| snippet.id.to_string()).collect()
}

fn words(text: &str) -> Tokens {
    Tokens::from_len(text.split_whitespace().count())
}

#[test]
fn the_same_words_are_shown_once_whatever_the_document() {
    let list = vec![
        snippet("a", 1, (0, 10), "one  two\nthree"),
        snippet("b", 1, (0, 10), "one two three"),
        snippet("b", 2, (10, 20), "four"),
    ];
    let selection = dedupe(list);
    assert_eq!(ids(&selection.kept), ["a#1", "b#2"]);
    assert_eq!(selection.kept[1].rank, 2);
    assert_eq!(selection.dropped.len(), 1);
    assert_eq!(selection.dropped[0].id.to_string(), "b#1");
    assert_eq!(selection.dropped[0].reason, DropReason::Duplicate);
}

#[test]
fn a_place_that_is_mostly_shown_is_dropped_and_a_seam_is_not() {
    let list = vec![
        snippet("a", 1, (0, 100), "first"),
        snippet("a", 2, (85, 185), "a seam is shared"),
        snippet("a", 3, (120, 180), "inside the second"),
        snippet("b", 3, (0, 100), "another document"),
    ];
    assert_eq!(ids(&dedupe(list).kept), ["a#1", "a#2", "b#3"]);
}

#[test]
fn what_scores_below_the_floor_is_dropped_and_the_floor_itself_is_not() {
    let at = |score| Snippet { score, ..snippet("a", 1, (0, 1), "text") };
    let selection = drop_below(vec![at(0.9), at(0.3), at(0.299)], 0.3);
    let scores: Vec<f64> = selection.kept.iter().map(|snippet| snippet.score).collect();
    assert_eq!(scores, [0.9, 0.3]);
    assert_eq!(selection.dropped[0].reason, DropReason::BelowFloor);
}

#[test]
fn a_shorter_one_may_go_in_after_one_that_is_too_long() {
    let long = "word ".repeat(200);
    let list = vec![
        snippet("a", 1, (0, 1), "short"),
        snippet("b", 1, (0, 1), &long),
        snippet("c", 1, (0, 1), "brief"),
    ];
    let selection = fit(list, Tokens::new(100), &words);
    assert_eq!(ids(&selection.kept), ["a#1", "c#1"]);
    assert_eq!(selection.dropped[0].reason, DropReason::OverBudget);
}

#[test]
fn words_alone_make_no_chunk_relevant_that_means_something_else() {
    let floor = 0.3;
    assert!(relevance(Some(0.19), 1.0) < floor, "small talk");
    assert!(relevance(Some(0.28), 0.5) > floor, "nearly, and in its words");
    assert_eq!(relevance(None, 0.5), 0.5, "without a vector the words are all there is");
    assert_eq!((relevance(Some(1.0), 1.0), relevance(Some(-1.0), 0.0)), (1.0, 0.0));
}

proptest! {
    #[test]
    fn the_budget_is_never_exceeded(
        texts in prop::collection::vec("\\PC{0,200}", 0..12),
        budget in 0_u64..400,
    ) {
        let list: Vec<Snippet> = texts
            .iter()
            .zip(1..)
            .map(|(text, chunk)| snippet("doc", chunk, (0, 0), text))
            .collect();
        // A counter for which the whole can be more than its parts.
        let odd = |text: &str| Tokens::from_len(text.len().div_ceil(3) + text.matches("<source").count());
        let all = ids(&list);
        let selection = fit(list, Tokens::new(budget), &odd);
        prop_assert!(selection.kept.is_empty() || odd(&fence(&selection.kept)) <= Tokens::new(budget));
        prop_assert_eq!(selection.kept.len() + selection.dropped.len(), all.len());
        let kept = ids(&selection.kept);
        let in_order: Vec<String> = all.into_iter().filter(|id| kept.contains(id)).collect();
        prop_assert_eq!(in_order, kept);
    }
}
