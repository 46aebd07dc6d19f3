//! Warns of values that change from turn to turn in blocks that should not.
//!
//! A date in front of everything makes the provider read the whole prompt anew at every turn: what
//! is cached is a prefix of equal bytes. Not here: the patterns (`scan`), the words around (`cue`).

use std::fmt;

use crate::cue::{says_now, stands_alone};
use crate::scan::{Found, values};
use crate::{InstructionBlock, VolatileKind, Volatility};

/// The most values named per block: whoever has more knows by then.
pub const VOLATILE_VALUES_MAX: usize = 16;
/// The most characters of a line that are shown around a value.
const EXCERPT_CHARS_MAX: usize = 80;

/// A value that probably changes, in a block that should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolatileValue {
    /// The block's name.
    pub block: String,
    /// What it is.
    pub kind: VolatileKind,
    /// The value itself.
    pub value: String,
    /// The line of the block's text, from 1 on.
    pub line: usize,
    /// The line it stands on, shortened.
    pub excerpt: String,
}

impl VolatileValue {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        self.kind.advice()
    }
}

impl fmt::Display for VolatileValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, kind, value, line, .. } = self;
        let advice = self.advice();
        write!(f, "{block}, line {line}: {} `{value}` breaks the prefix: {advice}", kind.as_str())
    }
}

/// The values of `blocks` that probably change from turn to turn, in order.
///
/// Blocks that are declared volatile are not looked at. A guess by form and by the words around: a
/// version, a year, a date of history and opening hours are not named. It may miss a value, never
/// an error, and takes time in proportion to the text.
#[must_use]
pub fn lint(blocks: &[InstructionBlock]) -> Vec<VolatileValue> {
    blocks
        .iter()
        .filter(|block| block.volatility != Volatility::Volatile)
        .flat_map(|block| lint_block(block).take(VOLATILE_VALUES_MAX))
        .collect()
}

fn lint_block(block: &InstructionBlock) -> impl Iterator<Item = VolatileValue> {
    (1..).zip(block.text.lines()).flat_map(move |(number, line)| {
        let found = values(line).into_iter().filter(|found| changes(line, found));
        found.map(move |found| VolatileValue {
            block: block.name.clone(),
            kind: found.kind,
            value: line.get(found.place.clone()).unwrap_or_default().to_owned(),
            line: number,
            excerpt: excerpt(line, found.place.start),
        })
    })
}

fn changes(line: &str, found: &Found) -> bool {
    let is_whole_date = found.kind == VolatileKind::Date
        && line.get(found.place.clone()).is_some_and(|value| value.contains(char::is_numeric));
    found.is_certain
        || says_now(line, found.place.start)
        || (is_whole_date && stands_alone(line, &found.place))
}

/// The part of the line around the value.
fn excerpt(line: &str, at: usize) -> String {
    let before = line.get(..at).unwrap_or_default().chars().count();
    let skipped = before.saturating_sub(EXCERPT_CHARS_MAX / 2);
    line.chars().skip(skipped).take(EXCERPT_CHARS_MAX).collect::<String>().trim().to_owned()
}
