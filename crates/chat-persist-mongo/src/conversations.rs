//! Conversations: LibreChat's own documents.

use chat_persist::{ConversationPage, ConversationQuery};
use chat_types::{
    Conversation, ConversationId, ConversationPatch, MessageId, Scope, Timestamp,
};

use crate::error::Outcome;
use crate::indexes::Index;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

/// What a turn's writes need to know of the conversation they go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// When the conversation's time is over; its messages carry the same.
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) async fn read(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
) -> Outcome<Option<Conversation>> {
    not_yet()
}

pub(crate) async fn list(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationQuery,
) -> Outcome<ConversationPage> {
    not_yet()
}

pub(crate) async fn patch(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &ConversationPatch,
    _: Timestamp,
) -> Outcome<Conversation> {
    not_yet()
}

pub(crate) async fn delete(_: &mut Unit<'_>, _: &Scope, _: &ConversationId) -> Outcome<bool> {
    not_yet()
}

/// Writes `if_new` unless the scope has the conversation, and moves its head to `head` at `now`.
pub(crate) async fn touch_for_turn(
    _: &mut Unit<'_>,
    _: &Scope,
    _if_new: &Conversation,
    _head: &MessageId,
    _now: Timestamp,
) -> Outcome<Touched> {
    not_yet()
}

/// Stamps a conversation with `now`; its head becomes `to` if it is still `from`. None if there is
/// no such conversation.
pub(crate) async fn move_head(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _from: &MessageId,
    _to: Option<&MessageId>,
    _now: Timestamp,
) -> Outcome<Option<Touched>> {
    not_yet()
}

/// Deletes up to `limit` conversations whose time was over at `now`, with everything that belongs
/// to them, and returns how many.
pub(crate) async fn sweep(_: &mut Unit<'_>, _now: Timestamp, _limit: i64) -> Outcome<u64> {
    not_yet()
}

/// Conversations of all scopes after `after`, in the order of tenant, user and id.
pub(crate) async fn scan(
    _: &mut Unit<'_>,
    _: Option<&(Scope, ConversationId)>,
    _: u32,
) -> Outcome<Vec<(Scope, Conversation)>> {
    not_yet()
}
