//! A page of a branch.

use chat_types::{BranchPage, ConversationId, MessageId, Scope};

use crate::error::Outcome;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) async fn branch(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &MessageId,
    _: usize,
) -> Outcome<BranchPage> {
    not_yet()
}
