//! A turn's kinds, states and keys.
//!
//! A turn is a list of steps, a step is one model call, a call may take several attempts. The
//! legal moves between states are here; who makes them is the journal's and the conductor's job.

use serde::{Deserialize, Serialize};

use crate::{ContentPart, MessageId, TurnId};

/// What a turn was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TurnKind {
    /// A new user message below `parent` (none: a new root).
    New {
        /// The message it follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<MessageId>,
        /// What the user says.
        parts: Vec<ContentPart>,
    },
    /// A changed user message, as a sibling of the old one.
    Edit {
        /// The user message that is replaced on the new branch.
        message: MessageId,
        /// Its new content.
        parts: Vec<ContentPart>,
    },
    /// Another reply, as a sibling of the old one.
    Regenerate {
        /// The reply to answer again.
        message: MessageId,
    },
    /// Goes on from a reply, as a sibling that starts with the kept parts.
    Continue {
        /// The reply to go on from.
        message: MessageId,
    },
    /// No reply: a summary of the branch, kept with this message, which stays the head.
    Compact {
        /// The newest message that it covers.
        message: MessageId,
        /// From the root on, instead of going on from the summary before.
        #[serde(default)]
        anew: bool,
    },
}

/// Where a turn stands. Terminal states are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The user's message is durable; nothing was called yet.
    Accepted,
    /// Steps are being made.
    Running,
    /// Waiting for somebody, for example an approval.
    Paused,
    /// The reply is whole.
    Completed,
    /// The reply ended at the cap or at a filter.
    Truncated,
    /// The user stopped it; the partial reply is kept.
    Aborted,
    /// It could not be done.
    Failed,
    /// Its process died or the stream broke; the partial reply is kept.
    Interrupted,
    /// Refused before any call: funds or policy.
    Rejected,
}

impl TurnState {
    /// No state follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Accepted | Self::Running | Self::Paused)
    }

    /// Whether `next` may follow.
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        match self {
            Self::Accepted => !matches!(next, Self::Accepted | Self::Paused),
            Self::Running => !matches!(next, Self::Accepted | Self::Running),
            Self::Paused => !matches!(next, Self::Accepted | Self::Paused),
            _ => false,
        }
    }

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Truncated => "truncated",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Rejected => "rejected",
        }
    }

    /// The state of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [
            Self::Accepted,
            Self::Running,
            Self::Paused,
            Self::Completed,
            Self::Truncated,
            Self::Aborted,
            Self::Failed,
            Self::Interrupted,
            Self::Rejected,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Its hold is asked for; no byte may leave.
    Held,
    /// An attempt is journaled; bytes may have left.
    Dispatched,
    /// Something came back and a checkpoint of it is durable.
    Streaming,
    /// Reply, usage and amounts are durable; the ledger may lag.
    Settling,
    /// The ledger has it too.
    Settled,
    /// It never reached a provider; its hold is given back.
    Released,
}

impl StepState {
    /// No state follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Settled | Self::Released)
    }

    /// A provider may have been reached, so money may be owed.
    #[must_use]
    pub const fn may_owe(self) -> bool {
        matches!(self, Self::Dispatched | Self::Streaming)
    }

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Dispatched => "dispatched",
            Self::Streaming => "streaming",
            Self::Settling => "settling",
            Self::Settled => "settled",
            Self::Released => "released",
        }
    }

    /// The state of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [
            Self::Held,
            Self::Dispatched,
            Self::Streaming,
            Self::Settling,
            Self::Settled,
            Self::Released,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// What a model call is for; every usage row says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// The reply itself.
    Reply,
    /// A summary of older messages.
    Summary,
    /// A conversation's title.
    Title,
    /// A round after tool results.
    ToolRound,
}

impl Purpose {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Summary => "summary",
            Self::Title => "title",
            Self::ToolRound => "tool_round",
        }
    }

    /// The purpose of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Reply, Self::Summary, Self::Title, Self::ToolRound]
            .into_iter()
            .find(|purpose| purpose.as_str() == name)
    }
}

/// Names a step: the key of its hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepKey {
    /// The turn.
    pub turn: TurnId,
    /// Counted from 1 within the turn.
    pub step: u32,
}

/// Names an attempt: the key of its usage row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The step.
    pub step: StepKey,
    /// Counted from 1 within the step.
    pub attempt: u32,
}

/// Why a turn ended badly, safe to store and to show: no message text, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TurnFailure {
    /// Stable, for programs: `insufficient_funds`, `provider_unavailable`, …
    pub code: String,
    /// One line for people: what was wrong and what to do.
    pub message: String,
    /// Sending again as a new turn may succeed.
    pub retryable: bool,
}

impl TurnFailure {
    /// Joins the three.
    pub fn new(code: impl Into<String>, message: impl Into<String>, retryable: bool) -> Self {
        Self { code: code.into(), message: message.into(), retryable }
    }
}
