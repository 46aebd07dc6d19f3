//! How history is made to fit: data, as it stands in a configuration, checked when it is read.

use chat_types::Tokens;
use serde::{Deserialize, Serialize};

use crate::error::PolicyError;
use crate::fill::WindowFill;
use crate::payload::InstructionsPlacement;
use crate::rung::{MiddleOut, Rung, number};
use crate::window::{Window, fill_window};

/// The most rungs of a ladder: every message may be shortened once per rung, and six kinds with a
/// second band for two of them are eight.
pub const RUNGS_MAX: usize = 8;

/// Pinned messages are few; a share above half would leave the conversation itself no room.
const PINNED: (u32, u32, &str) = (0, 50, "it must be 0 to 50");
const PINNED_PERCENT_DEFAULT: u32 = 25;

/// The last resort, when no rung made everything fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TruncationStrategy {
    /// The newest messages that fit, without a hole.
    #[default]
    RecentWindow,
}

/// What a history that was cut may begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WindowStart {
    /// Any message.
    #[default]
    Any,
    /// A message of the user: some models refuse, or misread, a history that begins with a reply.
    User,
}

/// The policy of one conversation or program.
///
/// It is checked when it is read: unknown keys, numbers out of range and rungs out of order are
/// refused with a [`PolicyError`], so a policy that exists is a valid one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "PolicyData", into = "PolicyData")]
#[non_exhaustive]
pub struct TruncationPolicy {
    /// The last resort.
    pub strategy: TruncationStrategy,
    /// Where instructions stand among the messages.
    pub instructions: InstructionsPlacement,
    /// What a history that was cut may begin with.
    pub start: WindowStart,
    pinned_percent: u32,
    rungs: Vec<Rung>,
}

/// The policy as it is written, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyData {
    strategy: TruncationStrategy,
    instructions: InstructionsPlacement,
    #[serde(skip_serializing_if = "is_default_start")]
    start: WindowStart,
    #[serde(skip_serializing_if = "is_default_pinned")]
    pinned_percent: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rungs: Vec<Rung>,
}

fn is_default_start(start: &WindowStart) -> bool {
    *start == WindowStart::default()
}

fn is_default_pinned(percent: &u32) -> bool {
    *percent == PINNED_PERCENT_DEFAULT
}

impl Default for PolicyData {
    fn default() -> Self {
        TruncationPolicy::default().into()
    }
}

impl From<TruncationPolicy> for PolicyData {
    fn from(policy: TruncationPolicy) -> Self {
        let TruncationPolicy { strategy, instructions, start, pinned_percent, rungs } = policy;
        Self { strategy, instructions, start, pinned_percent, rungs }
    }
}

impl TryFrom<PolicyData> for TruncationPolicy {
    type Error = PolicyError;

    fn try_from(data: PolicyData) -> Result<Self, PolicyError> {
        let PolicyData { strategy, instructions, start, pinned_percent, rungs } = data;
        let policy = Self { strategy, instructions, start, ..Self::default() };
        policy.with_pinned_percent(pinned_percent)?.with_rungs(rungs)
    }
}

impl Default for TruncationPolicy {
    fn default() -> Self {
        Self {
            strategy: TruncationStrategy::default(),
            instructions: InstructionsPlacement::default(),
            start: WindowStart::default(),
            pinned_percent: PINNED_PERCENT_DEFAULT,
            rungs: Vec::new(),
        }
    }
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

    /// The same policy with a history that begins as said once it was cut.
    #[must_use]
    pub fn with_start(mut self, start: WindowStart) -> Self {
        self.start = start;
        self
    }

    /// The same policy with these rungs instead of the ones it had, tried from the first on.
    ///
    /// # Errors
    /// `PolicyError` for more than [`RUNGS_MAX`] rungs, a number out of range, or an order that
    /// makes no sense: rungs that shorten come with rising `starts_at_percent`, `summarise` stands
    /// at most once, after them one of `drop_blocks` and `middle_out`, `recent_window` at the end.
    pub fn with_rungs(mut self, rungs: Vec<Rung>) -> Result<Self, PolicyError> {
        check_rungs(&rungs)?;
        self.rungs = rungs;
        Ok(self)
    }

    /// The same policy with this share of the budget, in percent, for pinned messages.
    ///
    /// # Errors
    /// `PolicyError` above 50.
    pub fn with_pinned_percent(mut self, percent: u32) -> Result<Self, PolicyError> {
        number("", "pinned_percent", percent, PINNED)?;
        self.pinned_percent = percent;
        Ok(self)
    }

    /// The rungs, in the order tried.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The most of the budget that pinned messages may take, in percent.
    #[must_use]
    pub const fn pinned_percent(&self) -> u32 {
        self.pinned_percent
    }

    /// How many turns from the start of the branch must be handed to the ladder as
    /// [`Reserve::First`](crate::Reserve::First); mostly none.
    #[must_use]
    pub fn first_turns(&self) -> u32 {
        self.middle_out().map_or(0, |middle| middle.keep_first_turns)
    }

    pub(crate) fn middle_out(&self) -> Option<MiddleOut> {
        self.rungs.iter().find_map(|rung| match rung {
            Rung::MiddleOut(middle) => Some(*middle),
            _ => None,
        })
    }

    /// How much of the budget a cut makes free at once, in percent; 0: what is needed.
    pub(crate) fn block_percent(&self) -> u32 {
        let block = self.rungs.iter().find_map(|rung| match rung {
            Rung::DropBlocks(drop) => Some(drop.block_percent),
            Rung::MiddleOut(middle) => Some(middle.block_percent),
            _ => None,
        });
        block.unwrap_or(0)
    }

    /// Starts the last rung alone, for histories that are read newest first in pages; see
    /// [`Ladder`](crate::Ladder) for all of them.
    ///
    /// `budget` is the maximum minus the instructions.
    #[must_use]
    pub fn start(&self, budget: Tokens, priming: Tokens) -> WindowFill {
        match self.strategy {
            TruncationStrategy::RecentWindow => WindowFill::new(budget, priming),
        }
    }

    /// Applies the last rung alone to a whole list, oldest first; see [`fill_window`].
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

/// Checks each rung by itself, then their order.
fn check_rungs(rungs: &[Rung]) -> Result<(), PolicyError> {
    if rungs.len() > RUNGS_MAX {
        return Err(PolicyError::new("rungs", &rungs.len(), "at most 8 rungs are allowed"));
    }
    let mut starts_at = 0;
    let mut has_summarise = false;
    let mut has_cut = false;
    let mut is_last = false;
    for (index, rung) in rungs.iter().enumerate() {
        let at = format!("rungs[{index}]");
        rung.check(&at)?;
        let broken = if is_last {
            Some("nothing may follow recent_window: it always makes everything fit")
        } else if has_cut && !matches!(rung, Rung::RecentWindow(_)) {
            Some("only recent_window may follow the rung that cuts history")
        } else if has_summarise && matches!(rung, Rung::Summarise(_)) {
            Some("summarise may stand only once")
        } else {
            None
        };
        if let Some(rule) = broken {
            return Err(PolicyError::new(format!("{at}.kind"), &rung.kind(), rule));
        }
        if let Some(percent) = rung.starts_at_percent() {
            if percent < starts_at {
                let rule = "it must not be below that of the rung before: a ladder rises";
                return Err(PolicyError::new(format!("{at}.starts_at_percent"), &percent, rule));
            }
            starts_at = percent;
        }
        has_summarise |= matches!(rung, Rung::Summarise(_));
        has_cut |= rung.is_cut();
        is_last = matches!(rung, Rung::RecentWindow(_));
    }
    Ok(())
}
