//! Ranked lists made into one by reciprocal rank fusion.
//!
//! Scores of different searches cannot be compared, places can: an item gets `1 / (60 + place)`
//! from each list that has it. Pure; the order of the lists decides nothing but full ties.

use std::collections::BTreeMap;

use crate::snippet::{Snippet, SnippetId};

/// The constant of the method's authors: it keeps one list's first place from outweighing two
/// lists' agreement on a later one.
pub const FUSION_CONSTANT: u32 = 60;

/// Fuses lists of keys, each best first. A key that a list names twice counts at its first place.
///
/// The result holds every key once, best first, with its fused score. Ties go to the better best
/// place, then to the smaller key.
#[must_use]
pub fn fuse<K: Ord + Clone>(lists: &[Vec<K>]) -> Vec<(K, f64)> {
    let mut places: BTreeMap<&K, Vec<u32>> = BTreeMap::new();
    for list in lists {
        let mut seen: BTreeMap<&K, u32> = BTreeMap::new();
        for (key, place) in list.iter().zip(1_u32..) {
            seen.entry(key).or_insert(place);
        }
        for (key, place) in seen {
            places.entry(key).or_default().push(place);
        }
    }
    let mut fused: Vec<(&K, f64, u32)> = places
        .into_iter()
        .map(|(key, mut places)| {
            // Sorted, so that the sum is the same to the last bit whatever the lists' order.
            places.sort_unstable();
            let best = places.first().copied().unwrap_or(u32::MAX);
            (key, places.into_iter().map(share).sum(), best)
        })
        .collect();
    fused.sort_by(|(left, left_score, left_best), (right, right_score, right_best)| {
        let by_score = right_score.total_cmp(left_score);
        by_score.then(left_best.cmp(right_best)).then(left.cmp(right))
    });
    fused.into_iter().map(|(key, score, _)| (key.clone(), score)).collect()
}

fn share(place: u32) -> f64 {
    1.0 / (f64::from(FUSION_CONSTANT) + f64::from(place))
}

/// Fuses lists of snippets. A snippet found by several lists is kept once, with its best score;
/// ranks are counted anew.
#[must_use]
pub fn merge(lists: Vec<Vec<Snippet>>) -> Vec<Snippet> {
    let keys: Vec<Vec<SnippetId>> =
        lists.iter().map(|list| list.iter().map(|snippet| snippet.id.clone()).collect()).collect();
    let mut by_id: BTreeMap<SnippetId, Snippet> = BTreeMap::new();
    for snippet in lists.into_iter().flatten() {
        match by_id.get_mut(&snippet.id) {
            Some(known) => known.score = known.score.max(snippet.score),
            None => drop(by_id.insert(snippet.id.clone(), snippet)),
        }
    }
    let fused = fuse(&keys).into_iter().filter_map(|(id, _)| by_id.remove(&id));
    fused.zip(1..).map(|(snippet, rank)| Snippet { rank, ..snippet }).collect()
}
