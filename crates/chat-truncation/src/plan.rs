//! What is sent, what is shortened and what is left out, message by message, with the reason.
//!
//! A plan holds no message, only what becomes of it, so that it can be explained without one.

use std::collections::HashMap;

use chat_types::{ContentPart, Message, MessageId, Role, Tokens};

use crate::unit::Repair;

/// Stands where the middle was left out. It names no number, so that it stays the same bytes from
/// turn to turn; the plan has the numbers.
pub(crate) const GAP_TEXT: &str = "[Messages between the first and the newest were left out here.]";

/// Which rung shortened a message last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrimReason {
    /// `cap_messages`.
    Capped,
    /// `mask_tool_results`.
    Masked,
    /// A call without its result, or a result without its call, was taken out.
    Repaired,
}

impl TrimReason {
    /// For reports, in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capped => "shortened: too large for one message",
            Self::Masked => "old tool result shortened",
            Self::Repaired => "tool part without counterpart left out",
        }
    }
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It does not fit, or it is older than one that does not.
    DoesNotFit,
    /// It was left out before: the cut of an earlier turn still holds.
    BeforeCut,
    /// It would fit, and went with the block that made room.
    Block,
    /// It would fit, and a history that was cut must begin with a message of the user.
    Start,
    /// Nothing of it was left when the parts without counterpart were taken out.
    Repaired,
    /// What must be sent is too large, so nothing is sent.
    NothingFits,
}

impl DropReason {
    /// For reports, in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoesNotFit => "does not fit",
            Self::BeforeCut => "left out since an earlier turn",
            Self::Block => "left out with its block",
            Self::Start => "history begins with a user message",
            Self::Repaired => "tool parts without counterpart",
            Self::NothingFits => "what must be sent is too large",
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fate {
    /// Sent as it is.
    Keep,
    /// Sent with these parts instead of its own.
    Trim {
        /// What is sent; as many parts as it had, unless it was repaired.
        parts: Vec<ContentPart>,
        /// Why.
        by: TrimReason,
    },
    /// Not sent.
    Drop {
        /// Why.
        reason: DropReason,
    },
}

/// A message and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Which message.
    pub message: MessageId,
    /// Its size as it is stored.
    pub tokens_stored: Tokens,
    /// Its size as it is sent; zero if it is not.
    pub tokens: Tokens,
    /// What becomes of it.
    pub fate: Fate,
}

impl Planned {
    /// It is sent, whole or shortened.
    #[must_use]
    pub const fn is_sent(&self) -> bool {
        !matches!(self.fate, Fate::Drop { .. })
    }
}

/// Where the middle was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first message after it; none: what stands after it is no message of the plan.
    pub before: Option<MessageId>,
    /// What to put in front of that message's text, so that the model knows.
    pub text: &'static str,
    /// Its size, counted as a message of its own.
    pub tokens: Tokens,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlanOutcome {
    /// Every message is sent, whole or shortened.
    Everything,
    /// The oldest, or the middle, is left out.
    Cut,
    /// What must be sent does not fit: no request can be made, and nothing is sent.
    TooLarge,
}

/// What must be sent and does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The largest message of it.
    pub message: MessageId,
    /// Who speaks in it.
    pub role: Role,
    /// The size of that message.
    pub message_tokens: Tokens,
    /// The size of everything that must be sent.
    pub tokens: Tokens,
    /// What there was for it.
    pub available: Tokens,
}

/// A summary should be made, best beside the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryDue {
    /// The newest message it should cover; what is newer stays word for word.
    pub covers_to: MessageId,
    /// The size, as stored, of what was read of it; older messages come on top.
    pub tokens: Tokens,
    /// The model the policy names.
    pub model: Option<String>,
}

/// What is sent and what is not.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Every message that was handed in, in the order of the branch.
    pub messages: Vec<Planned>,
    /// The newest message that was left out by the cut: hand it in at the next turn.
    pub cut_before: Option<MessageId>,
    /// Where the middle was left out.
    pub gap: Option<Gap>,
    /// Everything sent, priming included; never above the budget.
    pub tokens: Tokens,
    /// What is left of the budget.
    pub remaining: Tokens,
    /// How it ended.
    pub outcome: PlanOutcome,
    /// Set if and only if the outcome is [`PlanOutcome::TooLarge`].
    pub too_large: Option<TooLarge>,
    /// Set if the policy asks for summaries and one is due.
    pub summary_due: Option<SummaryDue>,
    /// How many of the rungs that shorten were applied.
    pub rungs_applied: usize,
    /// Parts that were taken out; only a plan of whole messages makes repairs.
    pub repairs: Vec<Repair>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// The messages to send, of the `messages` that were planned, oldest first.
    ///
    /// A message that is not in the plan is left out.
    #[must_use]
    pub fn into_messages(self, messages: Vec<Message>) -> Vec<Message> {
        let mut fates: HashMap<MessageId, Fate> =
            self.messages.into_iter().map(|planned| (planned.message, planned.fate)).collect();
        let mut sent: Vec<Message> = Vec::with_capacity(messages.len());
        for mut message in messages {
            match fates.remove(&message.id) {
                None | Some(Fate::Drop { .. }) => continue,
                Some(Fate::Keep) => {}
                Some(Fate::Trim { parts, .. }) => {
                    message.parts = parts;
                    // Counts stored for the whole message no longer hold.
                    message.token_counts.clear();
                }
            }
            if let Some(gap) = &self.gap
                && gap.before.as_ref() == Some(&message.id)
            {
                message.parts.insert(0, ContentPart::text(gap.text));
                message.token_counts.clear();
            }
            sent.push(message);
        }
        sent
    }

    /// What is not sent, in the order of the branch: dropped messages whole, of repaired ones the
    /// parts that were taken out. This is what a summariser is given.
    #[must_use]
    pub fn left_out(&self, messages: &[Message]) -> Vec<Message> {
        let fates: HashMap<&MessageId, &Fate> =
            self.messages.iter().map(|planned| (&planned.message, &planned.fate)).collect();
        let is_dropped = |id| matches!(fates.get(id), Some(Fate::Drop { .. }));
        messages
            .iter()
            .filter_map(|message| {
                if is_dropped(&message.id) {
                    return Some(message.clone());
                }
                let is_taken_out = |part: &ContentPart| {
                    let (ContentPart::ToolCall { call_id, .. }
                    | ContentPart::ToolResult { call_id, .. }) = part
                    else {
                        return false;
                    };
                    self.repairs
                        .iter()
                        .any(|repair| repair.message == message.id && &repair.call_id == call_id)
                };
                let parts: Vec<ContentPart> =
                    message.parts.iter().filter(|part| is_taken_out(part)).cloned().collect();
                (!parts.is_empty()).then(|| Message {
                    parts,
                    token_counts: Vec::new(),
                    ..message.clone()
                })
            })
            .collect()
    }
}
