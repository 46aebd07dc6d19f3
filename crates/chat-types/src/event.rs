//! The events of a turn: one closed, versioned enum, exactly one terminal event.
//!
//! The same JSON serves the event log, the command line's `--json` and the server. Sequence
//! numbers start at 1 and have no gaps. Not here: assembling a message from them (`fold`).

use serde::{Deserialize, Serialize};

use crate::{
    ContentPart, ContextReport, ConversationId, FinishReason, LowAccount, MessageId, ModelRef,
    Money, Purpose, Tokens, TurnFailure, TurnId, TurnState, Usage,
};

/// The version of the event shape; raised when a stored event changes its meaning.
pub const EVENT_VERSION: u16 = 1;

/// A place in a turn's events. Events after it are the ones a reader has not seen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Cursor {
    /// The epoch of the last event seen.
    pub epoch: u64,
    /// The sequence number of the last event seen; 0 before the first.
    pub seq: u64,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { epoch: 0, seq: 0 };
}

/// One thing that happened in a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnEvent {
    /// [`EVENT_VERSION`] when it was written.
    pub v: u16,
    /// The turn.
    pub turn: TurnId,
    /// The owner's epoch: raised when another process takes the turn over.
    pub epoch: u64,
    /// Counted from 1 within the turn.
    pub seq: u64,
    /// What happened.
    pub event: EventKind,
}

impl TurnEvent {
    /// The cursor of a reader who has seen this event.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.seq }
    }
}

/// Why what was shown so far is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// An attempt failed after it had shown something; its text is void.
    AttemptVoided,
    /// The reader's cursor lies beyond what survived a crash.
    TakenOver,
    /// The log of this turn has expired; here is the message.
    LogExpired,
}

/// What happened. `part` counts a reply's parts from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The user's message is durable.
    Accepted {
        /// The conversation.
        conversation: ConversationId,
        /// The user message that is answered.
        user_message: MessageId,
        /// The reply's id, known before there is one.
        reply: MessageId,
        /// The model that will answer.
        model: ModelRef,
    },
    /// The prompt was built.
    Context {
        /// What was kept and dropped, in sums.
        report: ContextReport,
    },
    /// Credit is held for a step.
    Held {
        /// The step.
        step: u32,
        /// What for.
        purpose: Purpose,
        /// How much.
        amount: Money,
        /// The output cap that the hold covers.
        output_cap: Tokens,
        /// Accounts that are low; absent for none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        low: Vec<LowAccount>,
    },
    /// An attempt goes to the provider.
    Attempt {
        /// The step.
        step: u32,
        /// Counted from 1.
        attempt: u32,
    },
    /// A text part begins.
    TextStart {
        /// Which part.
        part: u32,
    },
    /// A text part grows; all text of one network read.
    TextDelta {
        /// Which part.
        part: u32,
        /// What is added.
        text: String,
    },
    /// A text part is whole.
    TextEnd {
        /// Which part.
        part: u32,
    },
    /// A reasoning part begins.
    ReasoningStart {
        /// Which part.
        part: u32,
    },
    /// A reasoning part grows.
    ReasoningDelta {
        /// Which part.
        part: u32,
        /// What is added.
        text: String,
    },
    /// A reasoning part is whole.
    ReasoningEnd {
        /// Which part.
        part: u32,
        /// Sealed data that goes with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<crate::Opaque>,
    },
    /// A tool call begins.
    ToolCallStart {
        /// Which part.
        part: u32,
        /// Pairs it with its result.
        call_id: String,
        /// Which tool.
        name: String,
    },
    /// A tool call's arguments grow.
    ToolCallDelta {
        /// Which part.
        part: u32,
        /// A piece of the JSON text.
        arguments: String,
    },
    /// A tool call is whole.
    ToolCallEnd {
        /// Which part.
        part: u32,
    },
    /// A tool answered.
    ToolResult {
        /// Which part.
        part: u32,
        /// The call it answers.
        call_id: String,
        /// The answer.
        text: String,
        /// The tool failed.
        is_error: bool,
    },
    /// A source that the reply rests on.
    Source {
        /// Stable id of the snippet.
        id: String,
        /// A label for people.
        title: String,
    },
    /// What the step has consumed so far; a snapshot, never to be added up.
    Usage {
        /// The step.
        step: u32,
        /// The snapshot.
        usage: Usage,
    },
    /// Forget every part shown so far; these are the parts now.
    Reset {
        /// Why.
        reason: ResetReason,
        /// The parts that hold.
        parts: Vec<ContentPart>,
    },
    /// The turn is over. Always last, always once, also after a crash.
    Ended {
        /// A terminal state.
        outcome: TurnState,
        /// The stored reply, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
        /// All steps together.
        usage: Usage,
        /// All steps together.
        cost: Money,
        /// Why the model stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finish_reason: Option<FinishReason>,
        /// Why it ended badly.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<TurnFailure>,
    },
}

impl EventKind {
    /// The turn is over.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}
