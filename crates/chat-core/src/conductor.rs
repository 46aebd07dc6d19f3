//! The state of a turn's task, shared by its course (`conduct`) and its end (`ending`).

use std::sync::Arc;

use chat_tokens::TokenCounter;
use chat_types::{MessageId, StepGrant, TokenCount};
use chat_usage::GrantRequest;
use tokio::time::Instant;

use crate::gate::JournalGate;
use crate::inner::Inner;
use crate::live::LiveTurn;
use crate::narrate::Narrator;
use crate::plan::Plan;
use crate::turn_log::TurnLog;

/// A turn's reply is its first step.
pub(crate) const REPLY_STEP: u32 = 1;

/// What the task knows while it runs.
pub(crate) struct Conductor<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) live: &'a Arc<LiveTurn>,
    pub(crate) plan: &'a Plan,
    pub(crate) log: TurnLog,
    pub(crate) narrator: Narrator,
    pub(crate) deadline: Instant,
    pub(crate) counter: Option<Arc<dyn TokenCounter>>,
    /// Counts made for this prompt; kept with their messages once nobody waits any more.
    pub(crate) fresh_counts: Vec<(MessageId, TokenCount)>,
}

/// A step whose hold and first attempt are durable.
pub(crate) struct Opened {
    pub(crate) grant: StepGrant,
    pub(crate) gate: Arc<JournalGate>,
    pub(crate) request: GrantRequest,
}
