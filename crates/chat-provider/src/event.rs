//! What a provider says while it answers, in our words.

use std::pin::Pin;

use chat_types::{FinishReason, Money, Opaque, Usage};
use futures::Stream;

use crate::ProviderError;

/// One thing a provider said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// It took the call; its own name of it, if it gives one.
    Started {
        /// For support requests and for reconciling bills.
        request_id: Option<String>,
    },
    /// More text.
    Text(String),
    /// More reasoning.
    Reasoning(String),
    /// The current reasoning is whole and carries this seal.
    ReasoningSealed(Opaque),
    /// A tool call begins.
    ToolCall {
        /// Counts the calls of this reply from 0.
        index: u32,
        /// Pairs it with its result.
        call_id: String,
        /// Which tool.
        name: String,
    },
    /// More of a tool call's arguments.
    ToolArguments {
        /// Which call.
        index: u32,
        /// A piece of the JSON text.
        arguments: String,
    },
    /// What the call has consumed so far: a snapshot, the last one holds.
    Usage(Usage),
    /// What the call costs by the provider's own account, in nano-USD: a snapshot, the last one
    /// holds. It is charged instead of what the price book says.
    Cost(Money),
    /// Which service tier serves the call; the last one holds.
    Tier {
        /// In the provider's word; none is the standard one.
        name: Option<String>,
    },
    /// The model is done. Usage may still follow.
    Finished(FinishReason),
}

/// A reply as it comes: all events of one network read together.
///
/// It ends after `Finished` and what follows it; an end without `Finished` is a cut stream. An
/// error is the last item. Dropping it cancels the provider's work.
pub type CompletionStream =
    Pin<Box<dyn Stream<Item = Result<Vec<ProviderEvent>, ProviderError>> + Send>>;
