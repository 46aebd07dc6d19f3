//! Writing a whole conversation.

use chat_types::{Conversation, Message, Scope};

use crate::error::Outcome;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) async fn import(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &Conversation,
    _: &[Message],
) -> Outcome<()> {
    not_yet()
}
