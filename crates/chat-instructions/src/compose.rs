//! Joins blocks into one text: equal blocks give equal bytes, always.
//!
//! Not here: where the text goes (`place`).

use chat_types::ContentHash;

use crate::{InstructionBlock, Volatility};

/// Between two blocks; a blank line is what models are trained to read as a new paragraph.
pub(crate) const SEPARATOR: &str = "\n\n";

/// What was composed of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposedBlock {
    /// The block's name.
    pub name: String,
    /// How often it changes.
    pub volatility: Volatility,
    /// Its trimmed text.
    pub text: String,
}

/// Instructions ready to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposedInstructions {
    text: String,
    blocks: Vec<ComposedBlock>,
}

impl ComposedInstructions {
    /// What the model is told; empty if every block was blank.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Hash of [`ComposedInstructions::text`]: equal hashes, equal bytes.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of([&self.text])
    }

    /// The blocks in the order they were joined, blank ones left out.
    #[must_use]
    pub fn blocks(&self) -> &[ComposedBlock] {
        &self.blocks
    }

    /// There is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What keeps its bytes from turn to turn, and what does not: the blocks that are declared
    /// volatile. Sent in front, the former stays cached whatever the latter says; the latter
    /// belongs right before the newest message ([`place_tail`](crate::place_tail)).
    #[must_use]
    pub fn split_volatile(self) -> (Self, Self) {
        let (volatile, steady) =
            self.blocks.into_iter().partition(|block| block.volatility == Volatility::Volatile);
        (Self::join(steady), Self::join(volatile))
    }

    fn join(blocks: Vec<ComposedBlock>) -> Self {
        let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
        Self { text: texts.join(SEPARATOR), blocks }
    }

    /// The first block that differs from `earlier`'s: the one that broke the prefix. A block that
    /// went away is named by what stands in its place, or by its own name at the end.
    #[must_use]
    pub fn first_change<'a>(&'a self, earlier: &'a Self) -> Option<&'a str> {
        let common = self
            .blocks
            .iter()
            .zip(&earlier.blocks)
            .take_while(|(now, before)| now.text == before.text)
            .count();
        let changed = self.blocks.get(common).or(earlier.blocks.get(common));
        changed.map(|block| block.name.as_str())
    }
}

/// Joins `blocks`: static ones first, then slow, then volatile, each group in the order given.
///
/// Every block is trimmed, blank ones are left out, and one blank line stands between two.
#[must_use]
pub fn compose(blocks: &[InstructionBlock]) -> ComposedInstructions {
    let mut said: Vec<(&InstructionBlock, &str)> = blocks
        .iter()
        .map(|block| (block, block.text.trim()))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    said.sort_by_key(|(block, _)| block.volatility);
    let composed = said.into_iter().map(|(block, text)| ComposedBlock {
        name: block.name.clone(),
        volatility: block.volatility,
        text: text.to_owned(),
    });
    ComposedInstructions::join(composed.collect())
}
