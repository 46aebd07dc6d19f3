//! What a turn will send: everything resolved before it was accepted, and the prompt built from it.

use std::sync::Arc;

use async_trait::async_trait;
use chat_context::{BuiltContext, ContextRequest};
use chat_persist::{Fence, NewTurn, PersistErrorKind, PersistenceAdapter};
use chat_provider::{ModelProvider, ModelRequest, Prepared};
use chat_thread::{BranchError, BranchReader};
use chat_tokens::TokenCounter;
use chat_types::{
    BranchPage, ContentPart, ConversationId, Message, MessageId, MessageStatus, ModelInfo,
    ModelOptions, Role, Scope,
};

use crate::TurnError;
use crate::inner::Inner;

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
    /// The title a new conversation got from its first line, until a model finds a better one.
    pub(crate) first_title: Option<String>,
}

impl Plan {
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

/// A prompt that is ready to be sent.
pub(crate) struct BuiltPrompt {
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) context: BuiltContext,
    pub(crate) prepared: Prepared,
}

/// Builds and translates the prompt of a plan: what a turn sends, and what `explain` shows.
pub(crate) async fn build_prompt(
    inner: &Inner,
    plan: &Plan,
    answerer: &Answerer,
) -> Result<BuiltPrompt, TurnError> {
    let Answerer { provider, info } = answerer;
    provider.warm_up().await?;
    let counter = provider.counter(info);
    let scope = plan.fence.scope.clone();
    let reader = StoredBranch::new(Arc::clone(&inner.store), scope, plan.turn.conversation.clone());
    let instructions = inner.instructions(plan.instructions.as_deref());
    let tools = inner.toolbox.as_ref().map(|toolbox| toolbox.tools(&plan.fence.scope));
    let context = inner
        .context
        .build(ContextRequest {
            reader: &reader,
            tail: &plan.tail,
            below: plan.below.as_ref(),
            instructions: &instructions,
            tools: tools.as_deref().unwrap_or_default(),
            model: info,
            counter: counter.as_ref(),
            output_cap: plan.options.output_tokens_max,
        })
        .await?;
    let prepared = provider.prepare(&ModelRequest {
        model: info.model.model.clone(),
        prompt: context.prompt.clone(),
        media: Vec::new(),
        options: plan.options.clone(),
        stream: plan.stream,
        input_tokens: context.report.input_tokens,
    })?;
    Ok(BuiltPrompt { counter, context, prepared })
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
