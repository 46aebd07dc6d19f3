//! Fork: a copy of part of a conversation, as a conversation of its own.

use chat_thread::{ForkMode, ForkRequest, MessageThread};
use chat_types::{Conversation, ConversationId, IdSourceExt, MessageId, Scope};

use crate::{BaseClient, Result, TurnError};

/// Messages read at a time.
const MESSAGES_PER_READ: usize = 256;

/// The largest conversation that can be forked: the copy is one transaction.
const MESSAGES_MAX: usize = 100_000;

impl BaseClient {
    /// Copies the branch that ends at `target` (and, by `mode`, more) into a new conversation with
    /// the same title, model, instructions and options. All ids are new; summaries are copied.
    ///
    /// # Errors
    /// `UnknownConversation`; `UnknownMessage`; `BrokenTree` above 100,000 messages; `Store`.
    pub async fn fork(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        target: &MessageId,
        mode: ForkMode,
    ) -> Result<Conversation> {
        let inner = &self.inner;
        let unknown = || TurnError::UnknownConversation { conversation: conversation.clone() };
        let source = inner.store.conversation(scope, conversation).await?.ok_or_else(unknown)?;
        let mut messages = Vec::new();
        let mut after: Option<MessageId> = None;
        loop {
            let page = inner
                .store
                .messages(scope, conversation, after.as_ref(), MESSAGES_PER_READ)
                .await?;
            messages.extend(page.messages);
            if messages.len() > MESSAGES_MAX {
                let detail = format!("more than {MESSAGES_MAX} messages cannot be forked at once");
                return Err(TurnError::BrokenTree { detail });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let thread = MessageThread::normalise(messages);
        if thread.message(target).is_none() {
            return Err(TurnError::UnknownMessage { message: target.clone() });
        }
        let id = inner.ids.conversation_id()?;
        let request = ForkRequest { mode, target, split_at: None };
        let fork = thread
            .fork(request, inner.ids.as_ref(), &id)
            .map_err(|error| TurnError::BrokenTree { detail: error.to_string() })?;
        let now = inner.clock.now();
        let copy = Conversation {
            head: Some(fork.head),
            model: source.model,
            instructions: source.instructions,
            options: source.options,
            ..Conversation::new(id, source.title, now)
        };
        inner.store.import(scope, &copy, &fork.messages).await?;
        Ok(copy)
    }
}
