//! Reads history newest first until the budget is full or a summary stands for the rest.
//!
//! Costs what fits, never what is stored: pages are sized by what is left of the budget, and the
//! first unit that does not fit ends the reading. Stored counts are used as they are. Total: a
//! cycle, a broken chain or a result without its call is read around and noted.
//! Not here: the order of sections (`context`).

use std::collections::{HashMap, HashSet};

use chat_thread::{BRANCH_PAGE_MESSAGES_MAX, BranchErrorKind};
use chat_tokens::{CountOrigin, count_stored};
use chat_truncation::{Offer, Unit, UnitGrouper, WindowFill};
use chat_types::{ContentPart, Message, MessageId, Provenance, Role, TokenCount, Tokens};

use crate::project::{Checkpoint, LeftOut, project, take_checkpoint};
use crate::{ContextError, ContextRequest};

/// How large a message is taken to be before one was read: short chat messages are about this
/// size, so that one page fills a small window.
const ASSUMED_MESSAGE_TOKENS: u64 = 40;
/// The smallest page worth a trip to a store.
const PAGE_MESSAGES_MIN: usize = 16;
/// Stands before a summary, so that it is read as one.
const SUMMARY_LABEL: &str = "Summary of the conversation so far:\n\n";

/// A message that is sent, with its size.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) message: Message,
    pub(crate) count: Counted,
    pub(crate) left_out: LeftOut,
}

/// A size and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) tokens: Tokens,
    pub(crate) provenance: Provenance,
}

/// A message that was read and is not sent.
#[derive(Debug)]
pub(crate) struct NotSent {
    pub(crate) message: MessageId,
    pub(crate) count: Counted,
    pub(crate) summarised: bool,
    pub(crate) reason: &'static str,
}

/// The summary that is sent.
#[derive(Debug)]
pub(crate) struct SentSummary {
    pub(crate) carrier: MessageId,
    pub(crate) text: String,
    pub(crate) count: Counted,
}

/// Reads and counts for one prompt.
#[derive(Debug)]
pub(crate) struct History<'a> {
    request: &'a ContextRequest<'a>,
    fill: WindowFill,
    grouper: UnitGrouper,
    seen: HashSet<MessageId>,
    /// Only messages that something was left out of.
    left_out: HashMap<MessageId, LeftOut>,
    /// A summary was found, also if it did not fit.
    has_checkpoint: bool,
    read_until: Option<MessageId>,
    is_done: bool,
    read: usize,
    kept_tokens: Tokens,
    /// Newest first.
    pub(crate) kept: Vec<Kept>,
    pub(crate) not_sent: Vec<NotSent>,
    pub(crate) summary: Option<SentSummary>,
    pub(crate) cut_before: Option<MessageId>,
    pub(crate) fresh_counts: Vec<(MessageId, TokenCount)>,
    pub(crate) notes: Vec<String>,
    foreign_reasoning: usize,
}

impl<'a> History<'a> {
    pub(crate) fn new(request: &'a ContextRequest<'a>) -> Self {
        Self {
            request,
            fill: WindowFill::new(Tokens::ZERO, Tokens::ZERO),
            grouper: UnitGrouper::new(),
            seen: HashSet::new(),
            left_out: HashMap::new(),
            has_checkpoint: false,
            read_until: None,
            is_done: false,
            read: 0,
            kept_tokens: Tokens::ZERO,
            kept: Vec::new(),
            not_sent: Vec::new(),
            summary: None,
            cut_before: None,
            fresh_counts: Vec::new(),
            notes: Vec::new(),
            foreign_reasoning: 0,
        }
    }

    /// Prepares the messages that are always sent, oldest first; their summary, if they carry
    /// one, is handed to [`History::read`].
    pub(crate) fn always(&mut self, messages: &[Message]) -> (Vec<Kept>, Option<Checkpoint>) {
        let mut checkpoint = None;
        let mut always = Vec::with_capacity(messages.len());
        for message in messages.iter().rev() {
            // What is always sent is sent in its own words.
            let mut message = Message { summary: None, ..message.clone() };
            self.seen.insert(message.id.clone());
            if checkpoint.is_none() {
                checkpoint = take_checkpoint(&mut message);
            }
            let left_out = self.project(&mut message);
            let count = self.count(&message, left_out.is_nothing());
            always.push(Kept { message, count, left_out });
        }
        always.reverse();
        (always, checkpoint)
    }

    /// Reads what fits into `budget`: `in_memory` (oldest first) first, then pages.
    pub(crate) async fn read(
        &mut self,
        budget: Tokens,
        checkpoint: Option<Checkpoint>,
        in_memory: &[Message],
        messages_max: usize,
    ) -> Result<(), ContextError> {
        self.fill = WindowFill::new(budget, Tokens::ZERO);
        if let Some(checkpoint) = checkpoint {
            let covers_all_older = self.seen.contains(&checkpoint.summary.covers_to);
            self.pass_checkpoint(checkpoint);
            if self.summary.is_none() {
                // Its carrier is sent all the same, so the cut lies below the carrier.
                let newest_left_out = in_memory.last().map(|message| &message.id);
                self.cut_before = newest_left_out.or(self.request.below).cloned();
            }
            self.is_done |= covers_all_older;
        }
        for message in in_memory.iter().rev() {
            if self.is_done {
                break;
            }
            self.take(message.clone());
        }
        let mut next = self.request.below.cloned();
        let mut is_first = true;
        let mut stopped_at = None;
        while let Some(head) = next {
            if self.is_done || self.read_until.as_ref() == Some(&head) {
                break;
            }
            if self.read >= messages_max {
                self.note("more messages than may be read for one prompt");
                stopped_at = Some(head);
                break;
            }
            let page = match self.request.reader.page(&head, self.page_messages()).await {
                Ok(page) => page,
                Err(error) if error.kind() == BranchErrorKind::NotFound && !is_first => {
                    self.note("the branch is broken: an older message is not there");
                    break;
                }
                Err(error) => return Err(ContextError::History(error)),
            };
            is_first = false;
            next = if page.messages.is_empty() { None } else { page.next };
            for message in page.messages {
                if self.is_done {
                    break;
                }
                self.take(message);
            }
        }
        self.finish();
        self.cut_before = self.cut_before.take().or(stopped_at);
        Ok(())
    }

    /// As many messages as probably fit, by the average so far.
    fn page_messages(&self) -> usize {
        let kept = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        let average = self
            .kept_tokens
            .get()
            .checked_div(kept)
            .map_or(ASSUMED_MESSAGE_TOKENS, |average| average.max(1));
        // One more than fits, so that the page also holds the one that does not.
        let fitting = (self.fill.remaining().get() / average).saturating_add(1);
        usize::try_from(fitting)
            .unwrap_or(usize::MAX)
            .clamp(PAGE_MESSAGES_MIN, BRANCH_PAGE_MESSAGES_MAX)
    }

    /// Takes the next older message.
    fn take(&mut self, mut message: Message) {
        if self.read_until.as_ref() == Some(&message.id) {
            self.is_done = true;
            return;
        }
        if !self.seen.insert(message.id.clone()) {
            self.note("the branch closes a cycle: reading ended there");
            self.is_done = true;
            return;
        }
        self.read = self.read.saturating_add(1);
        let mut ends_here = false;
        if !self.has_checkpoint
            && let Some(checkpoint) = take_checkpoint(&mut message)
        {
            // It covers up to its carrier, or to what was read before: nothing older is left.
            ends_here = self.seen.contains(&checkpoint.summary.covers_to);
            self.pass_checkpoint(checkpoint);
        }
        let left_out = self.project(&mut message);
        if message.parts.is_empty() {
            self.not_sent.push(NotSent {
                message: message.id,
                count: self.nothing(),
                summarised: left_out.summary,
                reason: if left_out.is_nothing() { "it says nothing" } else { left_out.reason() },
            });
        } else if !self.is_done {
            if !left_out.is_nothing() {
                self.left_out.insert(message.id.clone(), left_out);
            }
            for unit in self.grouper.push_older(message) {
                self.offer(unit);
            }
        }
        self.is_done |= ends_here;
    }

    /// A summary was found: it takes its place in the budget and says how far to read on.
    fn pass_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.has_checkpoint = true;
        let text = format!("{SUMMARY_LABEL}{}", checkpoint.summary.text.trim());
        let parts = [ContentPart::Text { text }];
        let tokens = self.request.counter.count_message(Role::System, &parts);
        let count = Counted { tokens, provenance: self.request.counter.provenance() };
        let [ContentPart::Text { text }] = parts else {
            return;
        };
        match self.fill.offer(tokens) {
            Offer::Kept => {
                self.read_until = Some(checkpoint.summary.covers_to);
                self.summary = Some(SentSummary { carrier: checkpoint.carrier, text, count });
            }
            Offer::Full => {
                self.note("the summary did not fit: what it covers was left out");
                self.cut_before.get_or_insert(checkpoint.carrier);
                self.is_done = true;
            }
        }
    }

    /// Takes a unit whole or ends the reading.
    fn offer(&mut self, unit: Unit) {
        if self.is_done {
            return;
        }
        let mut counted = Vec::with_capacity(unit.messages.len());
        for message in unit.messages.into_iter().rev() {
            let left_out = self.left_out.remove(&message.id).unwrap_or_default();
            let repaired = self.grouper.repairs().iter().any(|repair| repair.message == message.id);
            let count = self.count(&message, left_out.is_nothing() && !repaired);
            counted.push(Kept { message, count, left_out });
        }
        let tokens: Tokens = counted.iter().map(|kept| kept.count.tokens).sum();
        match self.fill.offer(tokens) {
            Offer::Kept => {
                self.kept_tokens = self.kept_tokens.plus(tokens);
                self.kept.append(&mut counted);
            }
            Offer::Full => {
                self.is_done = true;
                self.cut_before = counted.first().map(|newest| newest.message.id.clone());
                self.not_sent.extend(counted.into_iter().map(|dropped| NotSent {
                    message: dropped.message.id,
                    count: dropped.count,
                    summarised: false,
                    reason: "does not fit",
                }));
            }
        }
    }

    /// There is nothing older to read: offers what is left and says what was repaired.
    fn finish(&mut self) {
        let (units, repairs) = std::mem::take(&mut self.grouper).finish();
        if self.cut_before.is_none() {
            self.is_done = false;
            self.grouper = UnitGrouper::new();
            for unit in units {
                self.offer(unit);
            }
        }
        for repair in &repairs {
            self.notes.push(format!(
                "tool call {} of message {} has no counterpart and was left out",
                repair.call_id, repair.message
            ));
        }
        if self.foreign_reasoning > 0 {
            self.notes.push(format!(
                "sealed reasoning of {} message(s) belongs to another model and was left out",
                self.foreign_reasoning
            ));
        }
    }

    fn project(&mut self, message: &mut Message) -> LeftOut {
        let left_out = project(message, &self.request.model.model);
        if left_out.foreign_reasoning {
            self.foreign_reasoning = self.foreign_reasoning.saturating_add(1);
        }
        left_out
    }

    /// The stored count, or a fresh one; a fresh one of a whole message is worth storing.
    fn count(&mut self, message: &Message, is_whole: bool) -> Counted {
        let (count, origin) = count_stored(self.request.counter, message);
        let counted = Counted { tokens: count.tokens, provenance: count.provenance };
        if is_whole && origin == CountOrigin::Fresh {
            self.fresh_counts.push((message.id.clone(), count));
        }
        counted
    }

    fn nothing(&self) -> Counted {
        Counted { tokens: Tokens::ZERO, provenance: self.request.counter.provenance() }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }
}
