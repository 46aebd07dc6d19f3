//! The words of a text as an index keeps them, and how much of a query a text covers.
//!
//! Documents and queries go through the same [`terms`], and only its words ever reach a search
//! engine: no character of a query can be taken for the engine's syntax.

use std::collections::{BTreeMap, BTreeSet};

/// The longest word kept; what is longer (keys, encoded data) is cut, not lost.
const TERM_CHARS_MAX: usize = 64;

/// The words of `text` in lower case, in order. Scripts written without spaces give overlapping
/// pairs of characters, the usual way to search them without a dictionary.
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut word_chars = 0;
    let mut pending: Option<char> = None;
    let mut is_paired = false;
    for character in text.chars().chain([' ']) {
        let is_dense = is_dense(character);
        if !is_dense {
            // A single dense character is a word of its own.
            if let Some(single) = pending.take().filter(|_| !is_paired) {
                found.push(single.to_string());
            }
            is_paired = false;
        }
        if is_dense || !is_word(character) {
            if !word.is_empty() {
                found.push(std::mem::take(&mut word));
            }
            word_chars = 0;
        }
        if is_dense {
            if let Some(before) = pending.replace(character) {
                found.push(String::from_iter([before, character]));
                is_paired = true;
            }
        } else if is_word(character) && word_chars < TERM_CHARS_MAX {
            word.extend(character.to_lowercase());
            word_chars += 1;
        }
    }
    found
}

/// The most words of a query that are searched for; a question has ten.
const QUERY_TERMS_MAX: usize = 64;

/// English words that questions are made of and that say nothing of what is asked. Words of other
/// languages are weighed by how many texts have them, as all words are.
const QUESTION_WORDS: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is",
    "it", "its", "me", "my", "not", "of", "on", "or", "our", "please", "s", "should", "so", "t",
    "tell", "than", "that", "the", "their", "them", "there", "these", "they", "this", "to", "us",
    "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will",
    "with", "would", "you", "your",
];

/// The distinct words to search for, in order of appearance: what [`terms`] gives without the
/// words that every question has, unless there are no others; at most 64.
#[must_use]
pub fn query_terms(query: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut words: Vec<String> =
        terms(query).into_iter().filter(|word| seen.insert(word.clone())).collect();
    let says_something = |word: &str| QUESTION_WORDS.binary_search(&word).is_err();
    if words.iter().any(|word| says_something(word)) {
        words.retain(|word| says_something(word));
    }
    words.truncate(QUERY_TERMS_MAX);
    words
}

/// Letters, digits, and the marks that combine with them.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '\u{300}'..='\u{36f}')
}

/// Scripts that put no spaces between words: Thai, Lao, Khmer, Japanese, Chinese, Korean (whose
/// words carry their endings).
const fn is_dense(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2fa1f}')
}

/// A word without the commonest endings of English, for comparing only: `connections` and
/// `connecting` are `connect`. Words of other scripts stay as they are.
#[must_use]
pub fn stem(term: &str) -> &str {
    const STEM_MIN: usize = 4;
    let mut stem = term;
    if !term.is_ascii() {
        return term;
    }
    for endings in [["ies", "es", "s"].as_slice(), &["ation", "ing", "ion", "ed", "ly"]] {
        for ending in endings {
            if let Some(rest) = stem.strip_suffix(ending).filter(|rest| rest.len() >= STEM_MIN) {
                stem = rest;
                break;
            }
        }
    }
    stem.strip_suffix(['e', 'y', 'i']).filter(|rest| rest.len() >= STEM_MIN).unwrap_or(stem)
}

/// What each word of a query weighs: rare words say more than common ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TermWeights {
    weights: BTreeMap<String, f64>,
}

impl TermWeights {
    /// The weights of `counts` (word, texts that have it) among `texts` texts. Words are given whole,
    /// not as stems.
    #[must_use]
    pub fn new(counts: impl IntoIterator<Item = (String, u64)>, texts: u64) -> Self {
        let weight =
            |count: u64| (1.0 + share(texts.saturating_add(1), count.saturating_add(1))).ln();
        let weigh = |(term, count): (String, u64)| (stem(&term).to_owned(), weight(count));
        Self { weights: counts.into_iter().map(weigh).collect() }
    }

    /// What `term` weighs; 0 if it is not in the query.
    #[must_use]
    pub fn weight(&self, term: &str) -> f64 {
        self.weights.get(stem(term)).copied().unwrap_or_default()
    }

    /// The share of the query's weight that the words of `text` cover, 0 to 1; 0 without words.
    #[must_use]
    pub fn covered_by(&self, text: &str) -> f64 {
        let present = terms(text);
        let present: BTreeSet<&str> = present.iter().map(|term| stem(term)).collect();
        let covered = self.weights.iter().filter(|(term, _)| present.contains(term.as_str()));
        let covered: f64 = covered.map(|(_, weight)| weight).sum();
        let all: f64 = self.weights.values().sum();
        if all > 0.0 { covered / all } else { 0.0 }
    }
}

fn share(all: u64, some: u64) -> f64 {
    // Counts of texts fit 32 bits; beyond, the weights no longer differ by anything that matters.
    let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    float(all) / float(some)
}
