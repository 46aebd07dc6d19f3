//! What a turn is to do: everything resolved before it was accepted. Not here: its prompt (`prompt`).

use std::sync::Arc;

use async_trait::async_trait;
use chat_persist::{Fence, NewTurn, PersistErrorKind, PersistenceAdapter};
use chat_provider::ModelProvider;
use chat_thread::{BranchError, BranchReader};
use chat_types::{
    BranchPage, ContentPart, ConversationId, Message, MessageId, MessageStatus, ModelInfo,
    ModelOptions, Role, Scope, TurnKind,
};

/// Who answers: a provider and one of its models.
#[derive(Clone, Debug)]
pub(crate) struct Answerer {
    pub(crate) provider: Arc<dyn ModelProvider>,
    pub(crate) info: ModelInfo,
}

/// Everything the task needs, resolved before the turn was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) fence: Fence,
    pub(crate) turn: NewTurn,
    pub(crate) answerer: Answerer,
    pub(crate) instructions: Option<String>,
    pub(crate) options: ModelOptions,
    pub(crate) stream: bool,
    /// The newest messages, in memory already: the user's, and a kept reply to go on from.
    pub(crate) tail: Vec<Message>,
    /// Where older history starts.
    pub(crate) below: Option<MessageId>,
    /// The parts a continued reply starts with.
    pub(crate) kept: Vec<ContentPart>,
    /// Messages that are kept also where they are older than the cut.
    pub(crate) pinned: Vec<MessageId>,
    /// The title a new conversation got from its first line, until a model finds a better one.
    pub(crate) first_title: Option<String>,
}

impl Plan {
    /// The model is asked for a reply; a compaction asks for none.
    pub(crate) const fn has_reply(&self) -> bool {
        !matches!(self.turn.kind, TurnKind::Compact { .. })
    }

    /// The same turn, asked again with what its reply has so far.
    pub(crate) fn going_on_from(&self, parts: Vec<ContentPart>) -> Self {
        let reply = Message {
            id: self.turn.reply.clone(),
            conversation: self.turn.conversation.clone(),
            parent: Some(self.turn.user_message.clone()),
            role: Role::Assistant,
            parts,
            created_at: self.turn.created_at,
            turn: Some(self.turn.id.clone()),
            model: None,
            status: MessageStatus::Partial,
            finish_reason: None,
            token_counts: Vec::new(),
            summary: None,
        };
        let tail = self.tail.iter().take(1).cloned().chain([reply]).collect();
        Self { tail, ..self.clone() }
    }
}

/// Lets the context builder read one conversation's branches from the store.
#[derive(Debug)]
pub(crate) struct StoredBranch {
    store: Arc<dyn PersistenceAdapter>,
    scope: Scope,
    conversation: ConversationId,
}

impl StoredBranch {
    pub(crate) fn new(
        store: Arc<dyn PersistenceAdapter>,
        scope: Scope,
        conversation: ConversationId,
    ) -> Self {
        Self { store, scope, conversation }
    }
}

#[async_trait]
impl BranchReader for StoredBranch {
    async fn page(&self, head: &MessageId, limit: usize) -> Result<BranchPage, BranchError> {
        let page = self.store.branch(&self.scope, &self.conversation, head, limit).await;
        page.map_err(|error| match error.kind() {
            PersistErrorKind::NotFound => BranchError::not_found(),
            _ => BranchError::unavailable(error),
        })
    }
}
