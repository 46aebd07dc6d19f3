//! Where instructions and a summary go among the messages that are sent.

use serde::{Deserialize, Serialize};

/// Where instructions stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstructionsPlacement {
    /// In front of everything: the prefix stays the same from turn to turn, so it can be cached.
    #[default]
    Prepend,
    /// Before the newest message, for models that forget what stands far above.
    BeforeLast,
}

/// Puts instructions and a summary around `history` (oldest first).
///
/// A summary is the first system message of the conversation: it precedes all history, and only
/// prepended instructions precede it, because they change less often. Without either, the history
/// comes back unchanged.
pub fn arrange<T>(
    instructions: Option<T>,
    summary: Option<T>,
    mut history: Vec<T>,
    placement: InstructionsPlacement,
) -> Vec<T> {
    if instructions.is_none() && summary.is_none() {
        return history;
    }
    match placement {
        InstructionsPlacement::Prepend => {
            instructions.into_iter().chain(summary).chain(history).collect()
        }
        InstructionsPlacement::BeforeLast => {
            let last = history.pop();
            summary.into_iter().chain(history).chain(instructions).chain(last).collect()
        }
    }
}
