//! The rungs of the ladder: what may be done so that history fits, as data.
//!
//! Percentages are whole numbers. Not here: the order of rungs (`policy`), what they do (`shrink`,
//! `cut`, `due`).

use chat_types::Tokens;
use serde::{Deserialize, Serialize};

use crate::error::PolicyError;

/// One step of the ladder. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rung {
    /// Shortens every message that is too large for its own good.
    CapMessages(CapMessages),
    /// Shortens old tool results that the model has already answered to.
    MaskToolResults(MaskToolResults),
    /// Says when a summary is due and how much stays beside it; made elsewhere.
    Summarise(Summarise),
    /// Leaves out the oldest in blocks, so that the cut moves rarely.
    DropBlocks(DropBlocks),
    /// Keeps the first turns and the newest, and leaves out what is between.
    MiddleOut(MiddleOut),
    /// The newest that fit. Always the last rung, also if it is not written.
    RecentWindow(RecentWindow),
}

/// Cuts the text of a large message to its head and tail. Tool calls, files, images and sealed
/// reasoning are never cut, pinned and system messages neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CapMessages {
    /// The most tokens of one message; none: the share alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<Tokens>,
    /// The most of the input budget that one message may take. 25: four long messages fit.
    pub share_percent: u32,
    /// How much of what is left of a text is its head. 70: what a text is about stands in front,
    /// how it ended stands at the end.
    pub head_percent: u32,
    /// Applied when more than this share of the budget is taken; 0: always. 100: only when not
    /// everything fits.
    pub starts_at_percent: u32,
}

impl Default for CapMessages {
    fn default() -> Self {
        Self { tokens_max: None, share_percent: 25, head_percent: 70, starts_at_percent: 100 }
    }
}

/// Cuts consumed tool results, those that an assistant message follows, to their head and tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskToolResults {
    /// Results of this many newest turns before the current one stay whole. 2: the user still
    /// asks about them.
    pub keep_recent_turns: u32,
    /// The characters left of a result. 300: enough to know what it was.
    pub chars_max: u32,
    /// How much of what is left is the head.
    pub head_percent: u32,
    /// Applied when more than this share of the budget is taken; 0: always. 100: only when not
    /// everything fits.
    pub starts_at_percent: u32,
}

impl Default for MaskToolResults {
    fn default() -> Self {
        Self { keep_recent_turns: 2, chars_max: 300, head_percent: 70, starts_at_percent: 100 }
    }
}

/// When a summary is due, and how much stays word for word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Summarise {
    /// Due when more than this share of the budget is taken, or something was left out. 80: there
    /// is room for the turns that pass while it is made.
    pub at_percent: u32,
    /// The share of the budget that the newest messages keep word for word.
    pub keep_percent: u32,
    /// The model that makes it, `provider/model` or an alias; none: the caller chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Default for Summarise {
    fn default() -> Self {
        Self { at_percent: 80, keep_percent: 40, model: None }
    }
}

/// When the oldest must go, a whole block goes: then the cut, and the prefix with it, stays where
/// it is until the block is filled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DropBlocks {
    /// How much of the budget is made free at once. 25: a window of a hundred turns loses its
    /// cached prefix about every twenty-five.
    pub block_percent: u32,
}

impl Default for DropBlocks {
    fn default() -> Self {
        Self { block_percent: 25 }
    }
}

/// The first turns stay (what the conversation is about), the newest stay, the middle goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MiddleOut {
    /// How many turns stay from the start of the branch.
    pub keep_first_turns: u32,
    /// The most of the budget they may take; turns beyond are treated as any other.
    pub first_percent: u32,
    /// How much of the budget is made free at once, as in [`DropBlocks`]; 0: what is needed.
    pub block_percent: u32,
}

impl Default for MiddleOut {
    fn default() -> Self {
        Self { keep_first_turns: 1, first_percent: 25, block_percent: 0 }
    }
}

/// The newest that fit, without a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecentWindow {}

const SHARE: (u32, u32, &str) = (1, 100, "it must be 1 to 100");
const PERCENT: (u32, u32, &str) = (0, 100, "it must be 0 to 100");
/// Above 90 a cut would leave next to nothing.
const BLOCK: (u32, u32, &str) = (1, 90, "it must be 1 to 90");
const BLOCK_OR_NONE: (u32, u32, &str) = (0, 90, "it must be 0 to 90");
/// Turns that stay for ever must leave most of the budget to the others.
const FIRST: (u32, u32, &str) = (1, 50, "it must be 1 to 50");
const FIRST_TURNS: (u32, u32, &str) = (1, 16, "it must be 1 to 16");
/// Below, the mark that says how much was cut is larger than what is left; above, nothing is.
const CHARS: (u32, u32, &str) = (64, 1_000_000, "it must be 64 to 1000000");
/// The mark alone takes about as many.
const CAP_TOKENS_MIN: Tokens = Tokens::new(32);

impl Rung {
    /// Checks the numbers; `at` names the rung in an error, for example `rungs[0]`.
    pub(crate) fn check(&self, at: &str) -> Result<(), PolicyError> {
        match self {
            Self::CapMessages(cap) => {
                if let Some(tokens) = cap.tokens_max
                    && tokens < CAP_TOKENS_MIN
                {
                    let key = format!("{at}.tokens_max");
                    return Err(PolicyError::new(key, &tokens, "it must be at least 32"));
                }
                number(at, "share_percent", cap.share_percent, SHARE)?;
                number(at, "head_percent", cap.head_percent, PERCENT)?;
                number(at, "starts_at_percent", cap.starts_at_percent, PERCENT)
            }
            Self::MaskToolResults(mask) => {
                number(at, "chars_max", mask.chars_max, CHARS)?;
                number(at, "head_percent", mask.head_percent, PERCENT)?;
                number(at, "starts_at_percent", mask.starts_at_percent, PERCENT)
            }
            Self::Summarise(summarise) => {
                number(at, "at_percent", summarise.at_percent, SHARE)?;
                number(at, "keep_percent", summarise.keep_percent, SHARE)?;
                if summarise.keep_percent >= summarise.at_percent {
                    let key = format!("{at}.keep_percent");
                    let rule = "it must be below at_percent, or every turn makes a summary";
                    return Err(PolicyError::new(key, &summarise.keep_percent, rule));
                }
                if summarise.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
                    let rule = "name a model, or leave the key out";
                    return Err(PolicyError::new(format!("{at}.model"), &"\"\"", rule));
                }
                Ok(())
            }
            Self::DropBlocks(drop) => number(at, "block_percent", drop.block_percent, BLOCK),
            Self::MiddleOut(middle) => {
                number(at, "keep_first_turns", middle.keep_first_turns, FIRST_TURNS)?;
                number(at, "first_percent", middle.first_percent, FIRST)?;
                number(at, "block_percent", middle.block_percent, BLOCK_OR_NONE)
            }
            Self::RecentWindow(RecentWindow {}) => Ok(()),
        }
    }

    /// Its name in a policy file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CapMessages(_) => "cap_messages",
            Self::MaskToolResults(_) => "mask_tool_results",
            Self::Summarise(_) => "summarise",
            Self::DropBlocks(_) => "drop_blocks",
            Self::MiddleOut(_) => "middle_out",
            Self::RecentWindow(_) => "recent_window",
        }
    }

    /// The pressure at which it shrinks messages; none: it shrinks none.
    pub(crate) const fn starts_at_percent(&self) -> Option<u32> {
        match self {
            Self::CapMessages(cap) => Some(cap.starts_at_percent),
            Self::MaskToolResults(mask) => Some(mask.starts_at_percent),
            Self::Summarise(_)
            | Self::DropBlocks(_)
            | Self::MiddleOut(_)
            | Self::RecentWindow(_) => None,
        }
    }

    /// It decides where history is cut.
    pub(crate) const fn is_cut(&self) -> bool {
        matches!(self, Self::DropBlocks(_) | Self::MiddleOut(_) | Self::RecentWindow(_))
    }
}

pub(crate) fn number(
    at: &str,
    key: &str,
    value: u32,
    (min, max, rule): (u32, u32, &'static str),
) -> Result<(), PolicyError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let key = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    Err(PolicyError::new(key, &value, rule))
}
