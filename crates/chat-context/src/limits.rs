//! How much of the window a prompt may take.

use chat_types::{BudgetReport, ModelInfo, Tokens};
use serde::{Deserialize, Serialize};

/// The limits of every prompt; unknown keys are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ContextLimits {
    /// The most of a model's window that is used; none: all of it. For windows larger than what a turn
    /// should cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_tokens_max: Option<Tokens>,
    /// Output cap when none is asked for; never more than a quarter of the window. 4,096: longer
    /// replies are rare, and what is kept free for them is taken from the history.
    pub output_tokens_default: Tokens,
    /// The least kept free for counting errors. 64: what framing can add to a short prompt.
    pub margin_tokens_min: Tokens,
    /// Kept free for counting errors, in percent of the window. 5: what the reference system
    /// keeps; counts with another vocabulary are rarely further off.
    pub margin_percent: u32,
    /// The most messages read for one prompt. 16,384: more than a window of a million tokens
    /// holds of ordinary messages; it ends the reading of messages that count as nothing.
    pub history_messages_max: usize,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self {
            window_tokens_max: None,
            output_tokens_default: Tokens::new(4_096),
            margin_tokens_min: Tokens::new(64),
            margin_percent: 5,
            history_messages_max: 16_384,
        }
    }
}

impl ContextLimits {
    /// These limits without a margin: for counts that are exact.
    #[must_use]
    pub const fn without_margin(self) -> Self {
        Self { margin_tokens_min: Tokens::ZERO, margin_percent: 0, ..self }
    }

    /// These limits with a smaller window than the model has.
    #[must_use]
    pub const fn with_window_max(self, tokens: Tokens) -> Self {
        Self { window_tokens_max: Some(tokens), ..self }
    }

    /// Divides the model's window. A cap that is asked for is bounded by what the model can put
    /// out; what does not add up leaves no input, it never wraps.
    #[must_use]
    pub fn budget(&self, model: &ModelInfo, output_cap: Option<Tokens>) -> BudgetReport {
        let window = self
            .window_tokens_max
            .map_or(model.context_window, |most| most.min(model.context_window));
        let quarter = Tokens::new(window.get() / 4);
        let output_cap = output_cap
            .unwrap_or_else(|| self.output_tokens_default.min(quarter))
            .min(model.output_max);
        let margin = window.scaled_up(self.margin_percent, 100).max(self.margin_tokens_min);
        BudgetReport { window, output_cap, margin, input: window.minus(output_cap).minus(margin) }
    }
}
