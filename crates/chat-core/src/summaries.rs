//! Who writes summaries, and which conversations have none because the last one failed.
//!
//! Not here: making one (`turn::summarise`), how it is written (`chat-summarizer`), when one is due (the
//! policy).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_context::summarizer::Summarizer;
use chat_types::{ConversationId, ModelRef, Tokens};

/// What summaries are long: a page. Shorter ones lose facts, longer ones crowd the window out.
const TOKENS_MAX: Tokens = Tokens::new(1_024);

/// Conversations whose failed summaries are remembered; the oldest memory goes first.
const FAILURES_MAX: usize = 1_024;

/// Turns without another try after a failure: 1, then 2, 4, 8, never more than this.
const SKIPPED_TURNS_MAX: u32 = 16;

/// Who writes summaries, and how long they are.
#[derive(Clone, Debug)]
pub struct Summaries {
    pub(crate) writer: Writer,
    pub(crate) tokens_max: Tokens,
}

/// Who writes them.
#[derive(Clone, Debug)]
pub(crate) enum Writer {
    /// A model; none: the turn's own.
    Model(Option<ModelRef>),
    Own(Arc<dyn Summarizer>),
}

impl Default for Summaries {
    /// By the turn's own model.
    fn default() -> Self {
        Self { writer: Writer::Model(None), tokens_max: TOKENS_MAX }
    }
}

impl Summaries {
    /// By this model; a small one with a large window will do.
    #[must_use]
    pub fn by(model: ModelRef) -> Self {
        Self { writer: Writer::Model(Some(model)), ..Self::default() }
    }

    /// By a summariser of the product's own. What it costs is not seen here.
    #[must_use]
    pub fn with(summarizer: Arc<dyn Summarizer>) -> Self {
        Self { writer: Writer::Own(summarizer), ..Self::default() }
    }

    /// Summaries of at most this length.
    #[must_use]
    pub fn of_at_most(self, tokens_max: Tokens) -> Self {
        Self { tokens_max, ..self }
    }

    /// The length for a model of this window: never more than an eighth of it.
    pub(crate) fn tokens_max_of(&self, window: Tokens) -> Tokens {
        self.tokens_max.min(Tokens::new(window.get() / 8)).max(Tokens::new(1))
    }
}

/// Failed summaries by conversation: so that a model that fails is not paid for at every turn, and
/// the next report can say why something was dropped.
#[derive(Debug, Default)]
pub(crate) struct SummaryFailures {
    conversations: Mutex<HashMap<ConversationId, Failure>>,
}

#[derive(Debug)]
struct Failure {
    code: &'static str,
    in_a_row: u32,
    skip: u32,
}

impl SummaryFailures {
    /// Whether to try now; each time that it is not, the wait gets shorter.
    pub(crate) fn may_try(&self, conversation: &ConversationId) -> bool {
        let mut conversations = self.lock();
        let Some(failure) = conversations.get_mut(conversation) else { return true };
        match failure.skip.checked_sub(1) {
            Some(left) => {
                failure.skip = left;
                false
            }
            None => true,
        }
    }

    pub(crate) fn failed(&self, conversation: &ConversationId, code: &'static str) {
        let mut conversations = self.lock();
        if conversations.len() >= FAILURES_MAX && !conversations.contains_key(conversation) {
            // Which one is forgotten does not matter: it is tried once too often.
            let any = conversations.keys().next().cloned();
            any.map(|any| conversations.remove(&any));
        }
        let failure = conversations.entry(conversation.clone()).or_insert(Failure {
            code,
            in_a_row: 0,
            skip: 0,
        });
        failure.code = code;
        failure.skip =
            1_u32.checked_shl(failure.in_a_row).unwrap_or(SKIPPED_TURNS_MAX).min(SKIPPED_TURNS_MAX);
        failure.in_a_row = failure.in_a_row.saturating_add(1);
    }

    pub(crate) fn made(&self, conversation: &ConversationId) {
        self.lock().remove(conversation);
    }

    /// What the report of the next prompt says.
    pub(crate) fn note(&self, conversation: &ConversationId) -> Option<String> {
        let conversations = self.lock();
        let failure = conversations.get(conversation)?;
        Some(format!(
            "the last summary was not made ({}): what no longer fits is dropped",
            failure.code
        ))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Failure>> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
