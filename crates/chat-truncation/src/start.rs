//! What a ladder is told before history is offered to it.

use chat_types::{Message, MessageId, Tokens};

/// A message and its size as it is.
#[derive(Clone, Copy, Debug)]
pub struct SizedMessage<'m> {
    /// The message.
    pub message: &'m Message,
    /// Its size, framing included.
    pub tokens: Tokens,
}

impl<'m> SizedMessage<'m> {
    /// A message of this size.
    #[must_use]
    pub const fn new(message: &'m Message, tokens: Tokens) -> Self {
        Self { message, tokens }
    }
}

/// Why a unit has its place whatever its age. Such a unit is never shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reserve {
    /// A system message: must be sent.
    System,
    /// Somebody pinned it: sent up to the policy's share of the budget, the newest first.
    Pinned,
    /// It stands in the first turns of the branch: sent up to the share of `middle_out`.
    First,
}

/// What is known before history is offered.
#[derive(Clone, Debug)]
pub struct LadderStart<'m> {
    pub(crate) budget: Tokens,
    pub(crate) priming: Tokens,
    pub(crate) shares_of: Tokens,
    pub(crate) cut_before: Option<MessageId>,
    pub(crate) required: Vec<SizedMessage<'m>>,
    pub(crate) reserved: Vec<(Reserve, Vec<SizedMessage<'m>>)>,
}

impl<'m> LadderStart<'m> {
    /// Nothing but the budget: what instructions and tools leave of the input. What else changes
    /// from turn to turn (retrieved text) should have a fixed share taken off, or rungs come and
    /// go with it.
    #[must_use]
    pub const fn new(budget: Tokens) -> Self {
        Self {
            budget,
            priming: Tokens::ZERO,
            shares_of: budget,
            cut_before: None,
            required: Vec::new(),
            reserved: Vec::new(),
        }
    }

    /// What every request costs besides its messages; taken off the budget.
    #[must_use]
    pub const fn with_priming(mut self, priming: Tokens) -> Self {
        self.priming = priming;
        self
    }

    /// What `share_percent` of a message is of: the model's input budget. It should be the same at
    /// every turn, or a text is cut differently at every turn; the budget is not the same.
    #[must_use]
    pub const fn with_shares_of(mut self, input: Tokens) -> Self {
        self.shares_of = input;
        self
    }

    /// [`Plan::cut_before`](crate::Plan::cut_before) of the turn before on this branch, unless the
    /// model's input budget has grown since. It holds while it fits. Only blocks make use of it.
    #[must_use]
    pub fn with_cut_before(mut self, cut_before: Option<MessageId>) -> Self {
        self.cut_before = cut_before;
        self
    }

    /// What must be sent and is never offered: from the newest user message on, oldest first.
    #[must_use]
    pub fn with_required(mut self, required: Vec<SizedMessage<'m>>) -> Self {
        self.required = required;
        self
    }

    /// Reserves the place of a unit, oldest message first; call it oldest unit first. If the unit
    /// is offered later it is counted once, where it stands; otherwise it is sent in front of what
    /// was offered. A message that is already required or reserved is not reserved again.
    #[must_use]
    pub fn with_reserved(mut self, why: Reserve, unit: Vec<SizedMessage<'m>>) -> Self {
        self.reserved.push((why, unit));
        self
    }
}
