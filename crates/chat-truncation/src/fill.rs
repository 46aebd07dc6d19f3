//! A budget that is filled from the newest unit to the oldest.
//!
//! Invariant: what was kept plus the priming is at most the budget, for any numbers. The first
//! unit that does not fit ends it: an older, smaller one is never taken instead, so what is kept
//! is always the tail of the conversation without a hole.
//! Not here: what a unit is (`unit`), whole lists (`window`).

use chat_types::Tokens;

/// What became of an offered unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Offer {
    /// It fits and is counted.
    Kept,
    /// It does not fit, or an earlier one did not: stop reading.
    Full,
}

/// Takes units newest first until one does not fit; reading can stop there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowFill {
    /// Never below zero: a unit is taken only if it can be subtracted.
    remaining: Tokens,
    full: bool,
}

impl WindowFill {
    /// Starts with `budget` (instructions already taken off) minus `priming`.
    ///
    /// A budget below the priming is full from the start.
    #[must_use]
    pub fn new(budget: Tokens, priming: Tokens) -> Self {
        Self { remaining: budget.minus(priming), full: budget < priming }
    }

    /// Offers the next older unit of `tokens`. After the first `Full`, every answer is `Full`.
    pub fn offer(&mut self, tokens: Tokens) -> Offer {
        if self.full {
            return Offer::Full;
        }
        match self.remaining.checked_minus(tokens) {
            Some(remaining) => {
                self.remaining = remaining;
                Offer::Kept
            }
            None => {
                self.full = true;
                Offer::Full
            }
        }
    }

    /// What is left of the budget.
    #[must_use]
    pub const fn remaining(&self) -> Tokens {
        self.remaining
    }

    /// A unit was refused, or nothing ever fitted: there is no reason to read on.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }
}
