//! Summaries of what is older than the window: made beside a turn, ahead of need, kept with the
//! newest message they cover.
//!
//! Kept there, a summary stands on every branch that passes that message, so siblings and forks
//! reuse it. What is failed or blank is not kept; the prompt falls back to dropping, and the report
//! says why. Not here: how a summary is written (`chat-summarizer`), when one is due (the policy).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_context::ContextError;
use chat_context::summarizer::{
    ModelSummarizer, SUMMARY_PROMPT_VERSION, Summarizer, SummaryError, SummaryErrorKind,
    SummaryRequest,
};
use chat_persist::PersistenceAdapter;
use chat_thread::{BRANCH_PAGE_MESSAGES_MAX, BranchReader, newest_summary};
use chat_types::{ConversationId, Message, MessageId, ModelRef, Scope, Summary, Tokens};

use crate::step::metered::TurnCaller;
use crate::turn::plan::StoredBranch;
use crate::{Result, TurnError};

/// What summaries are long: a page. Shorter ones lose facts, longer ones crowd the window out.
const TOKENS_MAX: Tokens = Tokens::new(1_024);

/// The most messages read for one summary: as many as are read for one prompt.
const MESSAGES_MAX: usize = 16_384;

/// Conversations whose failed summaries are remembered; the oldest memory goes first.
const FAILURES_MAX: usize = 1_024;

/// Turns without another try after a failure: 1, then 2, 4, 8, never more than this.
const SKIPPED_TURNS_MAX: u32 = 16;

/// Who writes summaries, and how long they are.
#[derive(Clone, Debug)]
pub struct Summaries {
    writer: Writer,
    tokens_max: Tokens,
}

#[derive(Clone, Debug)]
enum Writer {
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
    fn tokens_max(&self, window: Tokens) -> Tokens {
        self.tokens_max.min(Tokens::new(window.get() / 8)).max(Tokens::new(1))
    }

    /// The writer of one turn's summary, who asks a model through `caller`.
    fn summarizer(
        &self,
        caller: TurnCaller,
        named: Option<&str>,
    ) -> Result<(Arc<dyn Summarizer>, Tokens)> {
        let providers = &caller.inner.providers;
        let model = match (named, &self.writer) {
            (Some(name), _) => providers.resolve(name)?,
            (None, Writer::Own(own)) => return Ok((Arc::clone(own), self.tokens_max)),
            (None, Writer::Model(Some(model))) => model.clone(),
            (None, Writer::Model(None)) => caller.model.clone(),
        };
        let (provider, info) = providers.find(&model)?;
        let counter = provider.counter(&info);
        let tokens_max = self.tokens_max(info.context_window).min(info.output_max);
        // Counts are off by a few percent in vocabularies that are guessed.
        let margin = info.context_window.scaled_up(5, 100);
        let input_max = info.context_window.minus(tokens_max).minus(margin);
        let summarizer = ModelSummarizer::new(Arc::new(caller), counter, input_max).by(model);
        Ok((Arc::new(summarizer), tokens_max))
    }
}

/// What is to be summarised: the branch up to and including a message.
#[derive(Clone, Debug)]
pub(crate) struct SummaryJob {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) covers_to: MessageId,
    /// The model that the policy names, instead of the client's choice.
    pub(crate) model: Option<String>,
    /// From the root on, instead of going on from the summary before.
    pub(crate) anew: bool,
}

/// Why there is no new summary.
#[derive(Debug)]
pub(crate) enum NotMade {
    /// One stands there already.
    ThereAlready,
    Failed(SummaryError),
    Turn(TurnError),
}

impl NotMade {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::ThereAlready => "summary_there_already",
            Self::Failed(error) => error.code(),
            Self::Turn(error) => error.code(),
        }
    }
}

impl SummaryJob {
    /// Reads, has it written, keeps it; remembers a failure.
    pub(crate) async fn run(&self, caller: TurnCaller) -> std::result::Result<Summary, NotMade> {
        let inner = Arc::clone(&caller.inner);
        let live = Arc::clone(&caller.live);
        let made = self.make(caller).await;
        let failures = &inner.summary_failures;
        match &made {
            Ok(_) | Err(NotMade::ThereAlready) => failures.made(&self.conversation),
            // Nobody wants anything of a turn that was stopped.
            Err(_) if live.stop_requested().is_some() => {}
            Err(error) => {
                tracing::info!(conversation = %self.conversation, code = error.code(), "no summary was made");
                failures.failed(&self.conversation, error.code());
            }
        }
        made
    }

    async fn make(&self, caller: TurnCaller) -> std::result::Result<Summary, NotMade> {
        let inner = Arc::clone(&caller.inner);
        let (summarizer, tokens_max) =
            inner.summaries.summarizer(caller, self.model.as_deref()).map_err(NotMade::Turn)?;
        let request = self.read(&inner.store, tokens_max).await?;
        let summary = summarizer.summarize(request).await.map_err(NotMade::Failed)?;
        let kept = inner.store.keep_summary(&self.scope, &self.conversation, &summary).await;
        kept.map_err(|error| NotMade::Turn(error.into()))?;
        Ok(summary)
    }

    /// Everything between the summary before and the message to cover, oldest first.
    async fn read(
        &self,
        store: &Arc<dyn PersistenceAdapter>,
        tokens_max: Tokens,
    ) -> std::result::Result<SummaryRequest, NotMade> {
        let branch =
            StoredBranch::new(Arc::clone(store), self.scope.clone(), self.conversation.clone());
        let mut newest_first: Vec<Message> = Vec::new();
        let mut previous: Option<Summary> = None;
        let mut next = Some(self.covers_to.clone());
        'pages: while let Some(head) = next {
            let page = branch.page(&head, BRANCH_PAGE_MESSAGES_MAX).await;
            let page = page.map_err(|error| NotMade::Turn(ContextError::History(error).into()))?;
            for message in page.messages {
                let ends = previous.as_ref().is_some_and(|found| found.covers_to == message.id);
                if ends || newest_first.len() >= MESSAGES_MAX {
                    break 'pages;
                }
                if !self.anew && previous.is_none() {
                    previous = usable(&message);
                    let covers_itself =
                        previous.as_ref().is_some_and(|found| found.covers_to == message.id);
                    if covers_itself && newest_first.is_empty() {
                        return Err(NotMade::ThereAlready);
                    }
                    if covers_itself {
                        break 'pages;
                    }
                }
                newest_first.push(message);
            }
            next = page.next;
        }
        newest_first.reverse();
        if newest_first.is_empty() {
            return Err(NotMade::Failed(SummaryError::new(SummaryErrorKind::NothingToCover)));
        }
        Ok(SummaryRequest { previous, messages: newest_first, tokens_max })
    }
}

/// The summary a message carries, unless a model wrote it by another wording than today's.
fn usable(message: &Message) -> Option<Summary> {
    let (_, summary) = newest_summary(message)?;
    let current = summary.prompt_version.is_none_or(|version| version == SUMMARY_PROMPT_VERSION);
    current.then(|| summary.clone())
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
