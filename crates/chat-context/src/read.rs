//! What reading history leaves: messages with their sizes.

use chat_truncation::SizedMessage;
use chat_types::{Message, MessageId, Provenance, Tokens};

use crate::project::LeftOut;

/// A message as it would be sent, with its size.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) message: Message,
    pub(crate) count: Counted,
    pub(crate) left_out: LeftOut,
    /// Why its files are sent as they are.
    pub(crate) files: Option<String>,
}

impl Read {
    pub(crate) const fn sized(&self) -> SizedMessage<'_> {
        SizedMessage::new(&self.message, self.count.tokens)
    }
}

/// A size and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) tokens: Tokens,
    pub(crate) provenance: Provenance,
}

/// A message that was read and that nothing is sent of, whatever the policy.
#[derive(Debug)]
pub(crate) struct Empty {
    pub(crate) message: MessageId,
    pub(crate) count: Counted,
    pub(crate) summarised: bool,
    pub(crate) reason: &'static str,
}

/// The summary that is sent.
#[derive(Debug)]
pub(crate) struct SentSummary {
    pub(crate) carrier: MessageId,
    pub(crate) text: String,
    pub(crate) count: Counted,
}
