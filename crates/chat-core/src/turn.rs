//! The handle of a turn.

pub(crate) mod compact;
pub(crate) mod conduct;
pub(crate) mod conductor;
pub(crate) mod ending;
pub(crate) mod intake;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod prompt;
pub(crate) mod rounds;
pub(crate) mod summarise;

use std::fmt;
use std::sync::Arc;

use chat_persist::StopAck;
use chat_types::{
    ConversationId, Cursor, EventKind, FinishReason, Message, MessageId, Money, Scope, TurnFailure,
    TurnId, TurnState, Usage,
};
use futures::StreamExt;

use crate::inner::Inner;
use crate::{EventStream, Result, TurnError};

/// A turn that was accepted. Dropping it does not stop the turn.
#[derive(Clone)]
pub struct Turn {
    pub(crate) inner: Arc<Inner>,
    pub(crate) scope: Scope,
    pub(crate) id: TurnId,
    pub(crate) conversation: ConversationId,
    pub(crate) user_message: MessageId,
    pub(crate) reply: MessageId,
    pub(crate) attached: bool,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnOutcome {
    /// A terminal state.
    pub state: TurnState,
    /// The stored reply, whole or partial.
    pub message: Option<Message>,
    /// All steps together.
    pub usage: Usage,
    /// All steps together.
    pub cost: Money,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// Why it ended badly.
    pub failure: Option<TurnFailure>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("id", &self.id)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

impl Turn {
    /// Names the turn, and its event stream.
    #[must_use]
    pub fn id(&self) -> &TurnId {
        &self.id
    }

    /// The conversation it belongs to.
    #[must_use]
    pub fn conversation(&self) -> &ConversationId {
        &self.conversation
    }

    /// The user message it answers.
    #[must_use]
    pub fn user_message(&self) -> &MessageId {
        &self.user_message
    }

    /// The id the reply has or will have.
    #[must_use]
    pub fn reply(&self) -> &MessageId {
        &self.reply
    }

    /// It was sent before under the same idempotency key: nothing was called for this handle.
    #[must_use]
    pub fn was_attached(&self) -> bool {
        self.attached
    }

    /// Its events after `cursor`; see [`BaseClient::events`](crate::BaseClient::events).
    ///
    /// # Errors
    /// As for [`BaseClient::events`](crate::BaseClient::events).
    pub async fn events(&self, cursor: Cursor) -> Result<EventStream> {
        self.inner.events(&self.scope, &self.id, cursor).await
    }

    /// Asks it to stop; see [`BaseClient::stop`](crate::BaseClient::stop).
    ///
    /// # Errors
    /// As for [`BaseClient::stop`](crate::BaseClient::stop).
    pub async fn stop(&self) -> Result<StopAck> {
        self.inner.stop(&self.scope, &self.id).await
    }

    /// Waits for the end and reads the reply.
    ///
    /// # Errors
    /// `Store` if the log or the reply cannot be read.
    pub async fn outcome(&self) -> Result<TurnOutcome> {
        let mut events = self.events(Cursor::START).await?;
        while let Some(event) = events.next().await {
            let EventKind::Ended { outcome, message, usage, cost, finish_reason, failure } =
                &event?.event
            else {
                continue;
            };
            let message = match message {
                Some(id) => self.inner.store.message(&self.scope, &self.conversation, id).await?,
                None => None,
            };
            return Ok(TurnOutcome {
                state: *outcome,
                message,
                usage: *usage,
                cost: *cost,
                finish_reason: *finish_reason,
                failure: failure.clone(),
            });
        }
        Err(TurnError::BrokenTree { detail: "the event log ended without an end".to_owned() })
    }

    /// Waits until the ledger has it too; returns at once for a turn of another process.
    pub async fn settled(&self) {
        if let Some(live) = self.inner.live(&self.id) {
            live.settled().await;
        }
    }
}
