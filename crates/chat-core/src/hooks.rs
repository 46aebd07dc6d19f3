//! Where a product puts its own checks and its own telemetry.

use std::fmt;

use async_trait::async_trait;
use chat_types::{
    ContextReport, ConversationId, MessageId, Prompt, Scope, StepKey, TurnId, TurnState,
};

/// Why a prompt was refused. It must not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRefusal {
    /// A category for people, for example `matches the policy on secrets`.
    pub reason: String,
}

/// Checks the model-bound prompt: what is really sent, tool arguments included. Messages that
/// were cut from the window are not checked.
#[async_trait]
pub trait PromptGuard: fmt::Debug + Send + Sync + 'static {
    /// Lets the prompt through or refuses it; a refused turn ends as `rejected`, no call is made.
    ///
    /// # Errors
    /// `GuardRefusal` with a reason that does not repeat the text.
    async fn check(&self, scope: &Scope, prompt: &Prompt) -> Result<(), GuardRefusal>;
}

/// A mark in a turn's life, in the order they happen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LifecycleEvent {
    /// The user's message is durable; no model was called yet.
    Accepted {
        /// The turn.
        turn: TurnId,
        /// Its conversation.
        conversation: ConversationId,
        /// The user message.
        user_message: MessageId,
        /// The id the reply will have.
        reply: MessageId,
        /// The conversation was created by this turn.
        new_conversation: bool,
    },
    /// History was read and the prompt was built.
    PromptBuilt {
        /// The turn.
        turn: TurnId,
        /// What was kept and dropped.
        report: ContextReport,
    },
    /// Credit is held and the attempt is journaled; bytes leave now.
    Dispatched {
        /// The step.
        step: StepKey,
    },
    /// The first delta is there.
    FirstDelta {
        /// The turn.
        turn: TurnId,
    },
    /// The turn is over and durable.
    Closed {
        /// The turn.
        turn: TurnId,
        /// How it ended.
        outcome: TurnState,
    },
    /// The ledger and the usage rows have it too.
    Settled {
        /// The turn.
        turn: TurnId,
    },
}

/// Is told of every mark. Called inline: it must return at once and must not panic.
pub trait LifecycleObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note.
    fn observe(&self, event: &LifecycleEvent);
}
