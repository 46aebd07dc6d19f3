//! What of a stored message is sent to a model.
//!
//! Sealed reasoning goes back only where it came from; open reasoning is for people and is not
//! sent again; summaries are sent once, in front. The stored message stays as it is.

use chat_thread::newest_summary;
use chat_types::{ContentPart, Message, MessageId, ModelRef, Summary, block_quote};

/// What was left out of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Reasoning that another model sealed.
    pub(crate) foreign_reasoning: bool,
    /// Reasoning in the open.
    pub(crate) open_reasoning: bool,
    /// Summaries, and what they stand for within the message.
    pub(crate) summary: bool,
}

impl LeftOut {
    pub(crate) const fn is_nothing(self) -> bool {
        !self.foreign_reasoning && !self.open_reasoning && !self.summary
    }

    pub(crate) const fn reason(self) -> &'static str {
        if self.foreign_reasoning {
            "sealed reasoning of another model left out"
        } else if self.open_reasoning {
            "reasoning left out"
        } else if self.summary {
            "summary part left out"
        } else {
            "fits"
        }
    }
}

/// A summary that ends the reading of history.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) carrier: MessageId,
    pub(crate) summary: Summary,
}

/// Takes the newest summary that says something, and what it stands for, out of its carrier.
pub(crate) fn take_checkpoint(message: &mut Message) -> Option<Checkpoint> {
    let (part, summary) = newest_summary(message)?;
    let summary = summary.clone();
    // A summary that is kept with its message comes after all parts and covers them.
    if part == message.parts.len() || summary.covers_to == message.id {
        message.parts.drain(..part);
    }
    message.summary = None;
    Some(Checkpoint { carrier: message.id.clone(), summary })
}

/// Takes out what `model` is not sent; counts of the whole message no longer hold then.
///
/// A quote becomes text, which counts what the quote did.
pub(crate) fn project(message: &mut Message, model: &ModelRef) -> LeftOut {
    let mut left_out = LeftOut::default();
    for part in &mut message.parts {
        if let ContentPart::Quote { text } = part {
            *part = ContentPart::text(block_quote(text));
        }
    }
    message.parts.retain(|part| match part {
        ContentPart::Reasoning { opaque, .. } => match opaque {
            Some(opaque) if opaque.origin.model == *model => true,
            Some(_) => {
                left_out.foreign_reasoning = true;
                false
            }
            None => {
                left_out.open_reasoning = true;
                false
            }
        },
        ContentPart::Summary { .. } => {
            left_out.summary = true;
            false
        }
        _ => true,
    });
    if !left_out.is_nothing() {
        message.token_counts.clear();
    }
    left_out
}
