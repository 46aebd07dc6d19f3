//! Counts live with their message: counted once per tokenizer, then only read.

use chat_types::{Message, TokenCount};

use crate::counter::TokenCounter;

/// Whether a count was already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountOrigin {
    /// Read from the message.
    Stored,
    /// Counted just now: worth storing.
    Fresh,
}

/// The count of `message` in the counter's vocabulary; one that is stored is never recomputed.
pub fn count_stored<C: TokenCounter + ?Sized>(
    counter: &C,
    message: &Message,
) -> (TokenCount, CountOrigin) {
    match message.token_count(counter.tokenizer()) {
        Some(count) => (count.clone(), CountOrigin::Stored),
        None => {
            let tokens = counter.count_message(message.role, &message.parts);
            (counter.token_count(tokens), CountOrigin::Fresh)
        }
    }
}
