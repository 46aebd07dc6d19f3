//! Messages: LibreChat's own documents.

use chat_persist::MessagePage;
use chat_types::{ConversationId, Message, MessageId, Scope, Timestamp, TokenCount};
use mongodb::bson::oid::ObjectId;

use crate::error::Outcome;
use crate::indexes::Index;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Its place in the order of writing.
    pub(crate) object_id: ObjectId,
    /// The message.
    pub(crate) message: Message,
}

/// Where a new message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Where {
    /// The `_id` of its parent, if it has one: its own is above.
    pub(crate) above: Option<ObjectId>,
    /// When its conversation's time is over, as `Touched` says.
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) async fn read(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &MessageId,
) -> Outcome<Option<Message>> {
    not_yet()
}

pub(crate) async fn page(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: Option<&MessageId>,
    _: usize,
) -> Outcome<MessagePage> {
    not_yet()
}

/// Writes a message as the newest of its conversation. An id that is taken fails the unit, which
/// then runs again: look with [`find_all`] first.
pub(crate) async fn insert(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &Message,
    _: Where,
) -> Outcome<()> {
    not_yet()
}

/// Finds a message of a conversation.
pub(crate) async fn find(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &MessageId,
) -> Outcome<Option<Stored>> {
    not_yet()
}

/// Finds the messages of the scope that have these ids, in whatever conversation, in no order.
pub(crate) async fn find_all(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &[&MessageId],
) -> Outcome<Vec<Stored>> {
    not_yet()
}

pub(crate) async fn keep_token_counts(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &[(MessageId, TokenCount)],
) -> Outcome<()> {
    not_yet()
}

pub(crate) async fn delete_subtree(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &ConversationId,
    _: &MessageId,
) -> Outcome<u64> {
    not_yet()
}
