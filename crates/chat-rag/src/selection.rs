//! What of a ranked list goes into the prompt: no doubles, nothing irrelevant, within the budget.
//!
//! Each step keeps the order, renumbers the ranks and says what it dropped and why.

use std::collections::BTreeSet;

use chat_types::Tokens;
use serde::{Deserialize, Serialize};

use crate::fence::fence;
use crate::snippet::{Snippet, SnippetId};

/// Why a snippet was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// A better one says the same.
    Duplicate,
    /// Its score is below the floor.
    BelowFloor,
    /// The token budget had no room for it.
    OverBudget,
}

/// A snippet that was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Which one.
    pub id: SnippetId,
    /// Its score.
    pub score: f64,
    /// Why.
    pub reason: DropReason,
}

/// A list after a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// What is left, best first, ranks from 1.
    pub kept: Vec<Snippet>,
    /// What is not, in the order it was found.
    pub dropped: Vec<Dropped>,
}

fn split(
    snippets: Vec<Snippet>,
    reason: DropReason,
    mut keeps: impl FnMut(&Snippet, &[Snippet]) -> bool,
) -> Selection {
    let mut selection = Selection::default();
    let mut rank = 0;
    for snippet in snippets {
        if keeps(&snippet, &selection.kept) {
            rank += 1;
            selection.kept.push(Snippet { rank, ..snippet });
        } else {
            let Snippet { id, score, .. } = snippet;
            selection.dropped.push(Dropped { id, score, reason });
        }
    }
    selection
}

/// Drops what a better snippet says already: the same words, whatever the document, or a place of
/// the same document of which more than half is shown.
#[must_use]
pub fn dedupe(snippets: Vec<Snippet>) -> Selection {
    let mut texts = BTreeSet::new();
    split(snippets, DropReason::Duplicate, |snippet, kept| {
        let overlaps = |better: &Snippet| {
            better.id.document == snippet.id.document && better.location.overlaps(&snippet.location)
        };
        if kept.iter().any(overlaps) {
            return false;
        }
        let words: Vec<&str> = snippet.text.split_whitespace().collect();
        texts.insert(words.join(" "))
    })
}

/// Drops what scores below `score_min`.
#[must_use]
pub fn drop_below(snippets: Vec<Snippet>, score_min: f64) -> Selection {
    split(snippets, DropReason::BelowFloor, |snippet, _| snippet.score >= score_min)
}

/// Keeps, best first, what fits into `budget` when fenced; a snippet too long for the rest is left
/// out and shorter ones after it may still go in.
///
/// `count` counts the tokens of a text. `count(&fence(&kept)) <= budget` holds for the result.
#[must_use]
pub fn fit(snippets: Vec<Snippet>, budget: Tokens, count: &dyn Fn(&str) -> Tokens) -> Selection {
    let mut shown: Vec<Snippet> = Vec::new();
    split(snippets, DropReason::OverBudget, |snippet, _| {
        shown.push(Snippet { rank: 0, ..snippet.clone() });
        // The whole text is counted: tokens across a seam can make the sum of the parts wrong.
        let fits = count(&fence(&shown)) <= budget;
        if !fits {
            shown.pop();
        }
        fits
    })
}
