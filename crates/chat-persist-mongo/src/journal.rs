//! Accepting a turn.

use chat_persist::{Accept, Accepted};
use chat_types::{ConversationId, Scope};

use crate::error::Outcome;
use crate::indexes::Index;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

pub(crate) async fn accept(_: &mut Unit<'_>, _: &Scope, _: &Accept) -> Outcome<Accepted> {
    not_yet()
}

/// One of its turns is running, or has a step whose amounts the ledger may not have yet.
pub(crate) async fn is_busy(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
) -> Outcome<bool> {
    Ok(false)
}

/// A turn is running whose user message is one of these.
pub(crate) async fn is_writing_below(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &std::collections::HashSet<chat_types::MessageId>,
) -> Outcome<bool> {
    Ok(false)
}

/// Those of `ids` that a running turn will write as its reply.
pub(crate) async fn replies_to_be(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &[chat_types::MessageId],
) -> Outcome<Vec<chat_types::MessageId>> {
    Ok(Vec::new())
}

/// Removes the turns of a conversation with their steps, keys and events.
pub(crate) async fn remove_turns(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
) -> Outcome<()> {
    Ok(())
}
