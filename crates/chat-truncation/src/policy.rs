//! Which strategy chooses the history that is sent: data, as it stands in a configuration.

use chat_types::Tokens;
use serde::{Deserialize, Serialize};

use crate::fill::WindowFill;
use crate::payload::InstructionsPlacement;
use crate::window::{Window, fill_window};

/// How history is made to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TruncationStrategy {
    /// The newest messages that fit, without a hole.
    #[default]
    RecentWindow,
}

/// The policy of one conversation or program. Unknown keys are refused when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TruncationPolicy {
    /// How history is made to fit.
    pub strategy: TruncationStrategy,
    /// Where instructions stand among the messages.
    pub instructions: InstructionsPlacement,
}

impl TruncationPolicy {
    /// The newest messages that fit, instructions in front.
    #[must_use]
    pub fn recent_window() -> Self {
        Self::default()
    }

    /// The same policy with instructions standing at `placement`.
    #[must_use]
    pub fn with_instructions(mut self, placement: InstructionsPlacement) -> Self {
        self.instructions = placement;
        self
    }

    /// Starts an incremental fill, for histories that are read newest first in pages.
    ///
    /// `budget` is the maximum minus the instructions.
    #[must_use]
    pub fn start(&self, budget: Tokens, priming: Tokens) -> WindowFill {
        match self.strategy {
            TruncationStrategy::RecentWindow => WindowFill::new(budget, priming),
        }
    }

    /// Applies the policy to a whole list, oldest first; see [`fill_window`].
    pub fn apply<T>(
        &self,
        max: Tokens,
        priming: Tokens,
        instructions: Option<T>,
        items: Vec<T>,
        tokens_of: impl Fn(&T) -> Tokens,
    ) -> Window<T> {
        match self.strategy {
            TruncationStrategy::RecentWindow => {
                fill_window(max, priming, instructions, items, tokens_of)
            }
        }
    }
}
