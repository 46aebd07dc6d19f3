//! Summarising what is older than the window: beside a turn, ahead of need, kept with the newest message
//! it covers.
//!
//! Kept there, a summary stands on every branch that passes that message, so siblings and forks
//! reuse it. What is failed or blank is not kept; the prompt falls back to dropping, and the report
//! says why. Not here: how a summary is written (`chat-summarizer`), when one is due (the policy).

use std::sync::Arc;

use chat_context::ContextError;
use chat_context::summarizer::{
    ModelSummarizer, SUMMARY_PROMPT_VERSION, Summarizer, SummaryError, SummaryErrorKind,
    SummaryRequest,
};
use chat_persist::PersistenceAdapter;
use chat_thread::{BRANCH_PAGE_MESSAGES_MAX, BranchReader, newest_summary};
use chat_types::{ConversationId, Message, MessageId, Scope, Summary, Tokens};

use crate::step::metered::TurnCaller;
use crate::summaries::{Summaries, Writer};
use crate::turn::plan::StoredBranch;
use crate::{Result, TurnError};

/// The most messages read for one summary: as many as are read for one prompt.
const MESSAGES_MAX: usize = 16_384;

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
            summarizer(&inner.summaries, caller, self.model.as_deref()).map_err(NotMade::Turn)?;
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

/// The writer of one turn's summary, who asks a model through `caller`.
fn summarizer(
    summaries: &Summaries,
    caller: TurnCaller,
    named: Option<&str>,
) -> Result<(Arc<dyn Summarizer>, Tokens)> {
    let providers = &caller.inner.providers;
    let model = match (named, &summaries.writer) {
        (Some(name), _) => providers.resolve(name)?,
        (None, Writer::Own(own)) => return Ok((Arc::clone(own), summaries.tokens_max)),
        (None, Writer::Model(Some(model))) => model.clone(),
        (None, Writer::Model(None)) => caller.model.clone(),
    };
    let (provider, info) = providers.find(&model)?;
    let counter = provider.counter(&info);
    let tokens_max = summaries.tokens_max_of(info.context_window).min(info.output_max);
    // Counts are off by a few percent in vocabularies that are guessed.
    let margin = info.context_window.scaled_up(5, 100);
    let input_max = info.context_window.minus(tokens_max).minus(margin);
    let summarizer = ModelSummarizer::new(Arc::new(caller), counter, input_max).by(model);
    Ok((Arc::new(summarizer), tokens_max))
}
