//! The recent window over a whole list: what is kept, what is left over, and why.

use chat_types::Tokens;

use crate::fill::{Offer, WindowFill};
use crate::payload::{InstructionsPlacement, arrange};

/// Why the window ends where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowOutcome {
    /// Everything fits.
    Everything,
    /// Some of it fits.
    Cut {
        /// The size of the newest item that did not fit.
        tokens: Tokens,
    },
    /// Not even the newest item fits: nothing but instructions is kept.
    NewestTooLarge {
        /// Its size.
        tokens: Tokens,
        /// What there was for it.
        available: Tokens,
    },
    /// The instructions alone are above the maximum: no request can be made with them.
    InstructionsTooLarge {
        /// Their size.
        tokens: Tokens,
        /// The most there may be.
        max: Tokens,
    },
}

/// A filled window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<T> {
    /// Always kept, whatever their size.
    pub instructions: Option<T>,
    /// What fits, oldest first: a suffix of what was given.
    pub kept: Vec<T>,
    /// What does not, oldest first: dropped, or handed to a summariser.
    pub refine: Vec<T>,
    /// What is left of the maximum.
    pub remaining: Tokens,
    /// Why it ends there.
    pub outcome: WindowOutcome,
}

impl<T> Window<T> {
    /// The messages to send, with the instructions (and a summary of `refine`) in their place.
    #[must_use]
    pub fn into_payload(self, summary: Option<T>, placement: InstructionsPlacement) -> Vec<T> {
        arrange(self.instructions, summary, self.kept, placement)
    }
}

/// Keeps the newest of `items` (oldest first) that fit into `max` besides the instructions.
///
/// Starts at `priming`, walks from the newest to the oldest, keeps while the total is at most
/// `max` minus the instructions, and stops at the first item that does not fit. Total: there is
/// an answer for any numbers.
pub fn fill_window<T>(
    max: Tokens,
    priming: Tokens,
    instructions: Option<T>,
    mut items: Vec<T>,
    tokens_of: impl Fn(&T) -> Tokens,
) -> Window<T> {
    let instruction_tokens = instructions.as_ref().map_or(Tokens::ZERO, &tokens_of);
    let Some(budget) = max.checked_minus(instruction_tokens) else {
        return Window {
            instructions,
            kept: Vec::new(),
            refine: items,
            remaining: Tokens::ZERO,
            outcome: WindowOutcome::InstructionsTooLarge { tokens: instruction_tokens, max },
        };
    };
    let mut fill = WindowFill::new(budget, priming);
    let mut kept = 0_usize;
    let mut refused = None;
    for item in items.iter().rev() {
        let tokens = tokens_of(item);
        match fill.offer(tokens) {
            Offer::Kept => kept = kept.saturating_add(1),
            Offer::Full => {
                refused = Some(tokens);
                break;
            }
        }
    }
    let remaining = fill.remaining();
    let outcome = match refused {
        None => WindowOutcome::Everything,
        Some(tokens) if kept == 0 => WindowOutcome::NewestTooLarge { tokens, available: remaining },
        Some(tokens) => WindowOutcome::Cut { tokens },
    };
    let kept = items.split_off(items.len().saturating_sub(kept));
    Window { instructions, kept, refine: items, remaining, outcome }
}
