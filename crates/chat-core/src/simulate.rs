//! A past conversation under another policy: what each turn would have sent, lost and paid as input.
//!
//! Replays the branch turn by turn, oldest first, without calling anybody: where the policy asks for a
//! summary, an extract of the same length stands in for what a model would have written, and its
//! input is priced. What replies cost is the same under every policy and left out.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chat_context::summarizer::{ExtractiveSummarizer, Summarizer as _, SummaryRequest};
use chat_context::{ContextError, ContextRequest, ConversationContext, PreviousPrompt, SummaryDue};
use chat_thread::{BranchError, BranchReader, newest_summary};
use chat_types::{
    BranchPage, CacheStyle, ConversationId, ItemFate, Message, MessageId, ModelInfo, Money, Role,
    Scope, Summary, Tokens, Usage,
};

use crate::inner::Inner;
use crate::turn::plan::StoredBranch;
use crate::{BaseClient, Result, TurnError};

/// The most messages that are replayed: a simulation is for looking at, and each turn of it builds a
/// prompt.
const MESSAGES_MAX: usize = 4_096;

/// How long the extract is that stands in for a summary, in parts of the window.
const SUMMARY_SHARE: u64 = 16;

/// One turn of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedTurn {
    /// The message that was answered.
    pub user_message: MessageId,
    /// What would have been sent.
    pub input_tokens: Tokens,
    /// Messages that were read and would have been left out, without a summary for them.
    pub dropped: u32,
    /// Messages that would have been sent shortened.
    pub trimmed: u32,
    /// A summary would have stood for what is older.
    pub has_summary: bool,
    /// What was sent before and would have been sent again, because the prefix changed.
    pub sent_again: Tokens,
    /// What the input would have cost, as far as a cache could have it from there.
    pub cost: Money,
    /// What a summary made beside this turn would have cost.
    pub summary_cost: Option<Money>,
    /// Why there would have been no turn.
    pub refused: Option<String>,
}

/// A conversation under a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    /// Its turns, oldest first.
    pub turns: Vec<SimulatedTurn>,
    /// The branch is longer: only its newest messages were replayed.
    pub is_cut: bool,
}

impl Simulation {
    /// Input and summaries of all turns.
    ///
    /// # Errors
    /// `Usage` if the sum is more than can be counted.
    pub fn cost(&self) -> Result<Money> {
        let amounts = self.turns.iter().flat_map(|turn| [Some(turn.cost), turn.summary_cost]);
        Ok(Money::sum(amounts.flatten()).map_err(chat_usage::UsageError::from)?)
    }
}

impl BaseClient {
    /// Replays the branch to `head` (none: the conversation's) as `context` would have built it, for
    /// the model of the conversation. Writes nothing, calls nobody.
    ///
    /// # Errors
    /// `UnknownConversation`, `UnknownMessage`, `UnknownModel`; `Usage` for a model without a price;
    /// `Store`.
    pub async fn simulate(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        head: Option<&MessageId>,
        context: &ConversationContext,
    ) -> Result<Simulation> {
        let inner = &self.inner;
        let found = inner.store.conversation(scope, conversation).await?;
        let found = found
            .ok_or_else(|| TurnError::UnknownConversation { conversation: conversation.clone() })?;
        let model = match &found.model {
            Some(model) => model.clone(),
            None => inner.providers.default_model().ok_or(TurnError::NoProvider)?.clone(),
        };
        let (provider, info) = inner.providers.find(&model)?;
        provider.warm_up().await?;
        let Some(head) = head.or(found.head.as_ref()) else { return Ok(Simulation::default()) };
        let (path, is_cut) = path(inner, scope, conversation, head).await?;
        let replay = Replay {
            inner,
            context,
            info: &info,
            counter: provider.counter(&info),
            instructions: inner.instructions(found.instructions.as_deref()),
            tools: inner.toolbox.as_ref().map(|toolbox| toolbox.tools(scope)).unwrap_or_default(),
            branch: PastBranch(Mutex::new(path.clone())),
        };
        let mut turns = Vec::new();
        let mut previous = None;
        for message in path.iter().filter(|message| message.role == Role::User) {
            turns.push(replay.turn(message, &mut previous).await?);
        }
        Ok(Simulation { turns, is_cut })
    }
}

/// The branch as it was before there were summaries, oldest first.
async fn path(
    inner: &Inner,
    scope: &Scope,
    conversation: &ConversationId,
    head: &MessageId,
) -> Result<(Vec<Message>, bool)> {
    let branch =
        StoredBranch::new(std::sync::Arc::clone(&inner.store), scope.clone(), conversation.clone());
    let mut path = Vec::new();
    let mut next = Some(head.clone());
    while let Some(head) = next.take_if(|_| path.len() < MESSAGES_MAX) {
        let page = branch.page(&head, MESSAGES_MAX - path.len()).await;
        let page = page.map_err(ContextError::History)?;
        path.extend(page.messages.into_iter().map(|message| Message { summary: None, ..message }));
        next = page.next;
    }
    path.reverse();
    Ok((path, next.is_some()))
}

struct Replay<'a> {
    inner: &'a Inner,
    context: &'a ConversationContext,
    info: &'a ModelInfo,
    counter: std::sync::Arc<dyn chat_tokens::TokenCounter>,
    instructions: Vec<chat_context::InstructionBlock>,
    tools: Vec<chat_types::ToolSpec>,
    branch: PastBranch,
}

impl Replay<'_> {
    async fn turn(
        &self,
        message: &Message,
        previous: &mut Option<PreviousPrompt>,
    ) -> Result<SimulatedTurn> {
        let request = ContextRequest {
            instructions: &self.instructions,
            tools: &self.tools,
            previous: previous.as_ref(),
            ..ContextRequest::new(
                &self.branch,
                std::slice::from_ref(message),
                self.info,
                self.counter.as_ref(),
            )
        };
        let mut turn = SimulatedTurn {
            user_message: message.id.clone(),
            input_tokens: Tokens::ZERO,
            dropped: 0,
            trimmed: 0,
            has_summary: false,
            sent_again: Tokens::ZERO,
            cost: Money::ZERO,
            summary_cost: None,
            refused: None,
        };
        let built = match self.context.build(request).await {
            Ok(built) => built,
            Err(error @ ContextError::PromptTooLarge { .. }) => {
                turn.refused = Some(error.to_string());
                return Ok(turn);
            }
            Err(error) => return Err(error.into()),
        };
        let report = &built.report;
        let of_fate = |fate| {
            let items =
                report.items.iter().filter(|item| item.fate == fate && item.source.is_some());
            u32::try_from(items.count()).unwrap_or(u32::MAX)
        };
        turn.input_tokens = report.input_tokens;
        turn.dropped = of_fate(ItemFate::Dropped);
        turn.trimmed = of_fate(ItemFate::Trimmed);
        turn.has_summary =
            report.sections.iter().any(|section| section.section == chat_types::Section::Summary);
        let prefix = report.prefix;
        turn.sent_again = prefix.map_or(Tokens::ZERO, |prefix| prefix.sent_again());
        let cached = match self.info.cache {
            CacheStyle::None => Tokens::ZERO,
            _ => prefix.map_or(Tokens::ZERO, |prefix| prefix.stable),
        };
        turn.cost = self.cost(&Usage {
            input_uncached: report.input_tokens.minus(cached),
            cache_read: cached.min(report.input_tokens),
            ..Usage::default()
        })?;
        if let Some(due) = &built.summary_due {
            turn.summary_cost = self.summarise(due).await?;
        }
        *previous = Some(PreviousPrompt {
            model: self.info.model.clone(),
            sections: built.report.sections,
        });
        Ok(turn)
    }

    /// Puts an extract in the place of the summary that is due; what a model would have read for it
    /// is what it costs.
    async fn summarise(&self, due: &SummaryDue) -> Result<Option<Money>> {
        let Some((earlier, messages)) = self.branch.up_to(&due.covers_to) else { return Ok(None) };
        let window = self.info.context_window.get();
        let tokens_max = Tokens::new((window / SUMMARY_SHARE).max(1));
        let counted =
            messages.iter().map(|message| self.counter.count_message(message.role, &message.parts));
        let notes = earlier.as_ref().map_or(Tokens::ZERO, |s| self.counter.count_text(&s.text));
        let read = notes.plus(counted.sum());
        let request = SummaryRequest { previous: earlier, messages, tokens_max };
        let Ok(summary) = ExtractiveSummarizer::default().summarize(request).await else {
            return Ok(None);
        };
        let output = self.counter.count_text(&summary.text);
        self.branch.keep(summary);
        self.cost(&Usage { input_uncached: read, output, ..Usage::default() }).map(Some)
    }

    fn cost(&self, usage: &Usage) -> Result<Money> {
        let now = self.inner.clock.now();
        Ok(self.inner.recorder.cost(&self.info.model, now, usage)?.amount)
    }
}

/// The replayed branch, oldest first, with the extracts made so far.
#[derive(Debug)]
struct PastBranch(Mutex<Vec<Message>>);

impl PastBranch {
    /// The extract before `message`, and what came after that one up to the message.
    fn up_to(&self, message: &MessageId) -> Option<(Option<Summary>, Vec<Message>)> {
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = path.iter().position(|one| one.id == *message)?.saturating_add(1);
        let older = path.get(..end)?;
        let start = older.iter().rposition(|one| one.summary.is_some());
        let earlier = start.and_then(|start| newest_summary(older.get(start)?));
        let messages = older.get(start.map_or(0, |start| start.saturating_add(1))..)?.to_vec();
        let earlier = earlier.map(|(_, summary)| summary.clone());
        (!messages.is_empty()).then_some((earlier, messages))
    }

    fn keep(&self, summary: Summary) {
        let mut path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = path.iter_mut().find(|message| message.id == summary.covers_to) {
            message.summary = Some(summary);
        }
    }
}

#[async_trait]
impl BranchReader for PastBranch {
    async fn page(
        &self,
        head: &MessageId,
        limit: usize,
    ) -> std::result::Result<BranchPage, BranchError> {
        let end = {
            let path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = path.iter().position(|message| message.id == *head);
            let end = at.ok_or_else(BranchError::not_found)?.saturating_add(1);
            let start = end.saturating_sub(limit.max(1));
            let next = start.checked_sub(1).and_then(|older| path.get(older));
            let mut messages = path.get(start..end).unwrap_or_default().to_vec();
            messages.reverse();
            BranchPage { messages, next: next.map(|message| message.id.clone()) }
        };
        Ok(end)
    }
}
