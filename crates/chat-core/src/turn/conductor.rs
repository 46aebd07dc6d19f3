//! The state of a turn's task, shared by its course (`conduct`) and its end (`ending`).

use std::sync::Arc;

use chat_tokens::TokenCounter;
use chat_types::{ContentPart, ContextReport, MessageId, Purpose, TokenCount};
use tokio::time::Instant;

use crate::events::live::LiveTurn;
use crate::events::narrate::Narrator;
use crate::events::turn_log::TurnLog;
use crate::inner::Inner;
use crate::step::side_calls::SideCalls;
use crate::turn::plan::{Answerer, Plan};

/// A turn's first step is its reply.
pub(crate) const REPLY_STEP: u32 = 1;

/// What the task knows while it runs.
pub(crate) struct Conductor<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) live: &'a Arc<LiveTurn>,
    pub(crate) plan: &'a Plan,
    /// Who answers: the plan's model, or one that stands in for it.
    pub(crate) answerer: Answerer,
    /// The step of the call under way.
    pub(crate) step: u32,
    pub(crate) purpose: Purpose,
    /// The reply as it was when that step began.
    pub(crate) before: Vec<ContentPart>,
    pub(crate) side: Arc<SideCalls>,
    /// The first line of a conversation that a model may still name.
    pub(crate) untitled: Option<String>,
    pub(crate) log: TurnLog,
    pub(crate) narrator: Narrator,
    pub(crate) deadline: Instant,
    pub(crate) counter: Option<Arc<dyn TokenCounter>>,
    /// The prompt under way, in sums.
    pub(crate) report: Option<ContextReport>,
    /// Counts made for this prompt; kept with their messages once nobody waits any more.
    pub(crate) fresh_counts: Vec<(MessageId, TokenCount)>,
}
