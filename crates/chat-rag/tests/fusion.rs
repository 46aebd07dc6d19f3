//! Fusion by reciprocal ranks: the formula, and its laws for any lists.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::collections::BTreeSet;

use chat_rag::{Location, Snippet, SnippetId, fuse, merge};
use chat_types::FileId;
use proptest::prelude::*;

fn lists() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0_u8..40, 0..30), 0..5)
}

fn snippet(name: &str, score: f64) -> Snippet {
    Snippet {
        id: SnippetId::new(FileId::new(name).unwrap(), 1),
        name: name.to_owned(),
        location: Location::default(),
        text: format!("text of {name}"),
        score,
        rank: 0,
    }
}

#[test]
fn an_item_gets_the_reciprocal_of_its_places() {
    let fused = fuse(&[vec!["a", "b", "c"], vec!["b", "d"]]);
    let expected =
        [("b", 1.0 / 61.0 + 1.0 / 62.0), ("a", 1.0 / 61.0), ("d", 1.0 / 62.0), ("c", 1.0 / 63.0)];
    assert_eq!(fused, expected);
}

#[test]
fn agreement_outweighs_one_first_place() {
    let fused = fuse(&[vec!["alone", "both"], vec!["other", "both"]]);
    assert_eq!(fused.first().map(|(key, _)| *key), Some("both"));
}

#[test]
fn merged_snippets_are_kept_once_with_their_best_score() {
    let merged = merge(vec![
        vec![snippet("a", 0.2), snippet("b", 0.9)],
        vec![snippet("b", 0.4), snippet("c", 0.3)],
    ]);
    let seen: Vec<(&str, f64, u32)> =
        merged.iter().map(|found| (found.name.as_str(), found.score, found.rank)).collect();
    assert_eq!(seen, [("b", 0.9, 1), ("a", 0.2, 2), ("c", 0.3, 3)]);
}

proptest! {
    #[test]
    fn every_key_comes_out_once_best_first(lists in lists()) {
        let fused = fuse(&lists);
        let keys: Vec<u8> = fused.iter().map(|(key, _)| *key).collect();
        let distinct: BTreeSet<u8> = keys.iter().copied().collect();
        prop_assert_eq!(distinct.len(), keys.len());
        prop_assert_eq!(distinct, lists.iter().flatten().copied().collect::<BTreeSet<u8>>());
        prop_assert!(fused.is_sorted_by(|left, right| left.1 >= right.1));
    }

    #[test]
    fn the_order_of_the_lists_changes_nothing(lists in lists()) {
        let mut reversed = lists.clone();
        reversed.reverse();
        prop_assert_eq!(fuse(&lists), fuse(&reversed));
    }

    #[test]
    fn one_list_keeps_its_order(list in prop::collection::btree_set(0_u8..200, 0..50), seed in any::<u64>()) {
        let mut list: Vec<u8> = list.into_iter().collect();
        let turn = usize::try_from(seed % 50).unwrap() % list.len().max(1);
        list.rotate_left(turn);
        let fused: Vec<u8> = fuse(&[list.clone()]).into_iter().map(|(key, _)| key).collect();
        prop_assert_eq!(fused, list);
    }

    #[test]
    fn a_better_place_never_costs_a_key_its_rank(lists in lists(), which in 0_usize..5, place in 1_usize..30) {
        let fused_place = |lists: &[Vec<u8>], key: u8| fuse(lists).iter().position(|(other, _)| *other == key);
        let mut distinct = lists;
        for list in &mut distinct {
            let mut seen = BTreeSet::new();
            list.retain(|key| seen.insert(*key));
        }
        if let Some(list) = distinct.get(which).filter(|list| list.len() > place) {
            let key = list[place];
            let before = fused_place(&distinct, key);
            let mut better = distinct.clone();
            better[which].swap(place, place - 1);
            prop_assert!(fused_place(&better, key) <= before);
        }
    }
}
