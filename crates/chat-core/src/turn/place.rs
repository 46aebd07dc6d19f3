//! Where a turn goes in the stored tree: parent, answered message, kept reply.

use chat_thread::{Place, ThreadError};
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, Role, Scope, TurnKind,
    quotes_first,
};

use crate::inner::Inner;
use crate::request::Placement;
use crate::{Result, TurnError};

/// Where a turn goes, looked up in the stored tree.
pub(crate) struct Placed {
    pub(crate) kind: TurnKind,
    /// What the user says; none when an existing message is answered again.
    pub(crate) new_parts: Option<Vec<ContentPart>>,
    /// The parent of the new user message.
    pub(crate) parent: Option<MessageId>,
    /// The existing user message that is answered again.
    pub(crate) answered: Option<Message>,
    /// The reply that is gone on from.
    pub(crate) kept: Option<Message>,
}

impl Placed {
    fn new_message(kind: TurnKind, parent: Option<MessageId>, parts: Vec<ContentPart>) -> Self {
        Self { kind, new_parts: Some(quotes_first(parts)), parent, answered: None, kept: None }
    }
}

/// Looks up where a turn goes. Reads one or two messages, never the tree.
pub(crate) async fn place(
    inner: &Inner,
    scope: &Scope,
    conversation: &Conversation,
    placement: &Placement,
) -> Result<Placed> {
    let tree = Tree { inner, scope, conversation: &conversation.id };
    let new = |parent: Option<MessageId>, parts: &[ContentPart]| {
        let kind = TurnKind::New { parent: parent.clone(), parts: Vec::new() };
        Placed::new_message(kind, parent, parts.to_vec())
    };
    Ok(match placement {
        Placement::AfterHead { parts } => new(conversation.head.clone(), parts),
        Placement::After { parent, parts } => new(Some(parent.clone()), parts),
        Placement::AtRoot { parts } => new(None, parts),
        Placement::Edit { message, parts } => {
            let old = tree.message(message).await?;
            let place = Place::of_edit(&old).map_err(|error| wrong(message, &error))?;
            let kind = TurnKind::Edit { message: message.clone(), parts: Vec::new() };
            Placed::new_message(kind, place.parent, parts.clone())
        }
        Placement::Regenerate { message } => {
            let old = tree.message(message).await?;
            let answered =
                if old.role == Role::User { old } else { tree.answered_by(&old).await? };
            let kind = TurnKind::Regenerate { message: message.clone() };
            Placed { kind, new_parts: None, parent: None, answered: Some(answered), kept: None }
        }
        Placement::Continue { message } => {
            let reply = tree.message(message).await?;
            Place::of_continue(&reply).map_err(|error| wrong(message, &error))?;
            let answered = tree.answered_by(&reply).await?;
            let kind = TurnKind::Continue { message: message.clone() };
            Placed {
                kind,
                new_parts: None,
                parent: None,
                answered: Some(answered),
                kept: Some(reply),
            }
        }
        Placement::Compact { message, anew } => {
            let leaf = message.clone().or_else(|| conversation.head.clone());
            let leaf = tree.message(&leaf.ok_or(TurnError::EmptyMessage)?).await?;
            if !anew && leaf.summary.is_some() {
                return Err(TurnError::WrongMessage {
                    message: leaf.id,
                    reason: "the branch is compacted up to here already".to_owned(),
                });
            }
            let kind = TurnKind::Compact { message: leaf.id.clone(), anew: *anew };
            let answered =
                if leaf.role == Role::User { leaf } else { tree.answered_by(&leaf).await? };
            Placed { kind, new_parts: None, parent: None, answered: Some(answered), kept: None }
        }
    })
}

/// Reads single messages of one conversation.
struct Tree<'a> {
    inner: &'a Inner,
    scope: &'a Scope,
    conversation: &'a ConversationId,
}

impl Tree<'_> {
    async fn message(&self, id: &MessageId) -> Result<Message> {
        let message = self.inner.store.message(self.scope, self.conversation, id).await?;
        message.ok_or_else(|| TurnError::UnknownMessage { message: id.clone() })
    }

    /// The user message that a reply answers.
    async fn answered_by(&self, reply: &Message) -> Result<Message> {
        let place = Place::of_regenerate(reply).map_err(|error| wrong(&reply.id, &error))?;
        let parent = place.parent.ok_or_else(|| TurnError::WrongMessage {
            message: reply.id.clone(),
            reason: ThreadError::NothingToAnswer.to_string(),
        })?;
        self.message(&parent).await
    }
}

fn wrong(message: &MessageId, error: &ThreadError) -> TurnError {
    TurnError::WrongMessage { message: message.clone(), reason: error.to_string() }
}
