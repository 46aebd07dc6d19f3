//! Counts live with their message: counted once per tokenizer, then only read.

use chat_types::{Message, Provenance, TokenCount};

use crate::counter::TokenCounter;
use crate::for_model::has_media;

/// Whether a count was already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountOrigin {
    /// Read from the message.
    Stored,
    /// Counted just now: worth storing.
    Fresh,
}

/// The count of `message` in the counter's vocabulary; one that is stored is never recomputed.
///
/// A message with an image or a file is kept under [`TokenCounter::media_tokenizer`], and its count
/// is `estimated`, however exact the count of its text is: a formula says what it should cost.
pub fn count_stored<C: TokenCounter + ?Sized>(
    counter: &C,
    message: &Message,
) -> (TokenCount, CountOrigin) {
    let has_media = has_media(&message.parts);
    let key = if has_media { counter.media_tokenizer() } else { counter.tokenizer() };
    if let Some(count) = message.token_count(key) {
        return (count.clone(), CountOrigin::Stored);
    }
    let tokens = counter.count_message(message.role, &message.parts);
    let mut count = counter.token_count(tokens);
    if has_media {
        count.tokenizer = key.clone();
        count.provenance = count.provenance.weaker(Provenance::Estimated);
    }
    (count, CountOrigin::Fresh)
}
