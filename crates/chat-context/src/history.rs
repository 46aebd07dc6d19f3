//! Reads history newest first until the budget is full or a summary stands for the rest.
//!
//! Costs what fits, never what is stored: pages are sized by what is left of the budget, and the
//! policy's ladder says when to stop. Stored counts are used as they are. Total: a cycle, a broken
//! chain or a result without its call is read around and noted.
//! Not here: what it leaves behind (`read`) and what becomes of that (`chosen`), the order of sections (`context`).

use std::collections::{HashMap, HashSet};

use chat_thread::{BRANCH_PAGE_MESSAGES_MAX, BranchErrorKind};
use chat_tokens::{CountOrigin, count_stored};
use chat_truncation::{
    Ladder, LadderStart, Offer, Reserve, SizedMessage, TruncationPolicy, Unit, UnitGrouper, units,
};
use chat_types::{ContentPart, Message, MessageId, Role, TokenCount, Tokens};

use crate::files::Files;
use crate::project::{Checkpoint, LeftOut, project, take_checkpoint};
use crate::read::{Counted, Empty, Read, SentSummary};
use crate::{ContextError, ContextRequest};

/// How large a message is taken to be before one was read: short chat messages are about this
/// size, so that one page fills a small window.
const ASSUMED_MESSAGE_TOKENS: u64 = 40;
/// The smallest page worth a trip to a store.
const PAGE_MESSAGES_MIN: usize = 16;
/// Stands before a summary, so that it is read as one.
const SUMMARY_LABEL: &str = "Summary of the conversation so far:\n\n";

/// What a message lost on its way, beside the message itself.
#[derive(Debug, Default)]
struct Aside {
    left_out: LeftOut,
    files: Option<String>,
}

/// Reads and counts for one prompt.
#[derive(Debug)]
pub(crate) struct History<'a> {
    request: &'a ContextRequest<'a>,
    grouper: UnitGrouper,
    files: Files,
    seen: HashSet<MessageId>,
    /// Only messages that something was left out of, or that carry files.
    asides: HashMap<MessageId, Aside>,
    /// A summary was found, also if it did not fit.
    has_checkpoint: bool,
    read_until: Option<MessageId>,
    is_done: bool,
    messages_read: usize,
    tokens_read: Tokens,
    /// What must be sent, oldest first.
    pub(crate) always: Vec<Read>,
    checkpoint: Option<Checkpoint>,
    /// What was pinned or stands in the first turns, oldest first.
    pub(crate) reserved: Vec<(Reserve, Vec<Read>)>,
    /// Newest first.
    pub(crate) offered: Vec<Read>,
    pub(crate) empty: Vec<Empty>,
    pub(crate) summary: Option<SentSummary>,
    /// Where reading ended before the ladder had its say.
    pub(crate) stopped_before: Option<MessageId>,
    pub(crate) fresh_counts: Vec<(MessageId, TokenCount)>,
    pub(crate) notes: Vec<String>,
    foreign_reasoning: usize,
}

impl<'a> History<'a> {
    pub(crate) fn new(request: &'a ContextRequest<'a>) -> Self {
        Self {
            request,
            grouper: UnitGrouper::new(),
            files: Files::default(),
            seen: HashSet::new(),
            asides: HashMap::new(),
            has_checkpoint: false,
            read_until: None,
            is_done: false,
            messages_read: 0,
            tokens_read: Tokens::ZERO,
            always: Vec::new(),
            checkpoint: None,
            reserved: Vec::new(),
            offered: Vec::new(),
            empty: Vec::new(),
            summary: None,
            stopped_before: None,
            fresh_counts: Vec::new(),
            notes: Vec::new(),
            foreign_reasoning: 0,
        }
    }

    /// Prepares the messages that are always sent, oldest first.
    pub(crate) async fn always(&mut self, messages: &[Message]) -> Result<(), ContextError> {
        self.files.learn(self.request.files, messages).await?;
        for message in messages.iter().rev() {
            // What is always sent is sent in its own words.
            let mut message = Message { summary: None, ..message.clone() };
            self.seen.insert(message.id.clone());
            if self.checkpoint.is_none() {
                self.checkpoint = take_checkpoint(&mut message);
            }
            let aside = self.project(&mut message);
            let read = self.read_of(message, aside, true);
            self.always.push(read);
        }
        self.always.reverse();
        Ok(())
    }

    /// Prepares messages that have their place whatever their age, oldest first.
    pub(crate) async fn reserve(
        &mut self,
        why: Reserve,
        messages: &[Message],
    ) -> Result<(), ContextError> {
        self.files.learn(self.request.files, messages).await?;
        let (units, _repairs) = units(messages.to_vec());
        for unit in units {
            let mut reads = Vec::with_capacity(unit.messages.len());
            for message in unit.messages {
                let mut message = Message { summary: None, ..message };
                let aside = self.project(&mut message);
                if !message.parts.is_empty() {
                    reads.push(self.read_of(message, aside, true));
                }
            }
            if !reads.is_empty() {
                self.reserved.push((why, reads));
            }
        }
        Ok(())
    }

    /// The ladder, told of everything that has its place already.
    pub(crate) fn ladder(
        &self,
        policy: &TruncationPolicy,
        budget: Tokens,
        input: Tokens,
        cut_before: Option<MessageId>,
    ) -> Ladder {
        let mut start = LadderStart::new(budget)
            .with_priming(self.request.counter.priming())
            .with_shares_of(input)
            .with_cut_before(cut_before)
            .with_required(self.always.iter().map(Read::sized).collect());
        for (why, unit) in &self.reserved {
            start = start.with_reserved(*why, unit.iter().map(Read::sized).collect());
        }
        let count = |role, parts: &[ContentPart]| self.request.counter.count_message(role, parts);
        Ladder::new(policy, &start, &count)
    }

    /// Offers `in_memory` (oldest first), then pages, until the ladder is full.
    pub(crate) async fn read(
        &mut self,
        ladder: &mut Ladder,
        in_memory: &[Message],
        messages_max: usize,
    ) -> Result<(), ContextError> {
        self.is_done = ladder.is_full();
        if let Some(checkpoint) = self.checkpoint.take() {
            let covers_all_older = self.seen.contains(&checkpoint.summary.covers_to);
            self.pass_checkpoint(ladder, checkpoint);
            if self.summary.is_none() {
                // Its carrier is sent all the same, so the cut lies below the carrier.
                let newest_left_out = in_memory.last().map(|message| &message.id);
                self.stopped_before = newest_left_out.or(self.request.below).cloned();
            }
            self.is_done |= covers_all_older;
        }
        if !self.is_done {
            self.files.learn(self.request.files, in_memory).await?;
        }
        for message in in_memory.iter().rev() {
            if self.is_done {
                break;
            }
            self.take(ladder, message.clone());
        }
        self.read_pages(ladder, messages_max).await?;
        self.finish(ladder);
        Ok(())
    }

    async fn read_pages(
        &mut self,
        ladder: &mut Ladder,
        messages_max: usize,
    ) -> Result<(), ContextError> {
        let mut next = self.request.below.cloned();
        let mut is_first = true;
        while let Some(head) = next {
            if self.is_done || self.read_until.as_ref() == Some(&head) {
                break;
            }
            if self.messages_read >= messages_max {
                self.note("more messages than may be read for one prompt");
                self.stopped_before = Some(head);
                break;
            }
            let page = match self.request.reader.page(&head, self.page_messages(ladder)).await {
                Ok(page) => page,
                Err(error) if error.kind() == BranchErrorKind::NotFound && !is_first => {
                    self.note("the branch is broken: an older message is not there");
                    break;
                }
                Err(error) => return Err(ContextError::History(error)),
            };
            is_first = false;
            next = if page.messages.is_empty() { None } else { page.next };
            self.files.learn(self.request.files, &page.messages).await?;
            for message in page.messages {
                if self.is_done {
                    break;
                }
                self.take(ladder, message);
            }
        }
        Ok(())
    }

    /// As many messages as probably fit, by the average so far.
    fn page_messages(&self, ladder: &Ladder) -> usize {
        let offered = u64::try_from(self.offered.len()).unwrap_or(u64::MAX);
        let average = self
            .tokens_read
            .get()
            .checked_div(offered)
            .map_or(ASSUMED_MESSAGE_TOKENS, |average| average.max(1));
        // One more than fits, so that the page also holds the one that does not.
        let fitting = (ladder.remaining().get() / average).saturating_add(1);
        usize::try_from(fitting)
            .unwrap_or(usize::MAX)
            .clamp(PAGE_MESSAGES_MIN, BRANCH_PAGE_MESSAGES_MAX)
    }

    /// Takes the next older message.
    fn take(&mut self, ladder: &mut Ladder, mut message: Message) {
        if self.read_until.as_ref() == Some(&message.id) {
            self.is_done = true;
            return;
        }
        if !self.seen.insert(message.id.clone()) {
            self.note("the branch closes a cycle: reading ended there");
            self.is_done = true;
            return;
        }
        self.messages_read = self.messages_read.saturating_add(1);
        let mut ends_here = false;
        if !self.has_checkpoint
            && let Some(checkpoint) = take_checkpoint(&mut message)
        {
            // It covers up to its carrier, or to what was read before: nothing older is left.
            ends_here = self.seen.contains(&checkpoint.summary.covers_to);
            self.pass_checkpoint(ladder, checkpoint);
        }
        let is_summarised = ends_here && message.parts.is_empty();
        let aside = self.project(&mut message);
        if message.parts.is_empty() {
            self.empty.push(Empty {
                message: message.id,
                count: self.nothing(),
                summarised: aside.left_out.summary || is_summarised,
                reason: match () {
                    () if is_summarised => "stands in the summary",
                    () if aside.left_out.is_nothing() => "it says nothing",
                    () => aside.left_out.reason(),
                },
            });
        } else if !self.is_done {
            if aside.is_something() {
                self.asides.insert(message.id.clone(), aside);
            }
            for unit in self.grouper.push_older(message) {
                self.offer(ladder, unit);
            }
        }
        self.is_done |= ends_here;
    }

    /// A summary was found: it takes its place in the budget and says how far to read on.
    fn pass_checkpoint(&mut self, ladder: &mut Ladder, checkpoint: Checkpoint) {
        self.has_checkpoint = true;
        let text = format!("{SUMMARY_LABEL}{}", checkpoint.summary.text.trim());
        let parts = [ContentPart::Text { text }];
        let tokens = self.request.counter.count_message(Role::System, &parts);
        let count = Counted { tokens, provenance: self.request.counter.provenance() };
        let [ContentPart::Text { text }] = parts else {
            return;
        };
        match ladder.take(tokens) {
            Offer::Kept => {
                self.read_until = Some(checkpoint.summary.covers_to);
                self.summary = Some(SentSummary { carrier: checkpoint.carrier, text, count });
            }
            Offer::Full => {
                self.note("the summary did not fit: what it covers was left out");
                self.stopped_before.get_or_insert(checkpoint.carrier);
                self.is_done = true;
            }
        }
    }

    /// Hands a unit to the ladder, which may be full then.
    fn offer(&mut self, ladder: &mut Ladder, unit: Unit) {
        if self.is_done {
            return;
        }
        let mut reads = Vec::with_capacity(unit.messages.len());
        for message in unit.messages.into_iter().rev() {
            let aside = self.asides.remove(&message.id).unwrap_or_default();
            let repaired = self.grouper.repairs().iter().any(|repair| repair.message == message.id);
            reads.push(self.read_of(message, aside, !repaired));
        }
        let tokens: Tokens = reads.iter().map(|read| read.count.tokens).sum();
        let sized: Vec<SizedMessage<'_>> = reads.iter().rev().map(Read::sized).collect();
        let count = |role, parts: &[ContentPart]| self.request.counter.count_message(role, parts);
        self.is_done = ladder.offer(&sized, &count) == Offer::Full;
        self.tokens_read = self.tokens_read.plus(tokens);
        self.offered.extend(reads);
    }

    /// There is nothing older to read: offers what is left and says what was repaired.
    fn finish(&mut self, ladder: &mut Ladder) {
        let (units, repairs) = std::mem::take(&mut self.grouper).finish();
        if !ladder.is_full() && self.stopped_before.is_none() {
            self.is_done = false;
            for unit in units {
                self.offer(ladder, unit);
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

    /// What of a message is sent: no reasoning that is not the model's own, files as they are delivered.
    fn project(&mut self, message: &mut Message) -> Aside {
        let left_out = project(message, &self.request.model.model);
        if left_out.foreign_reasoning {
            self.foreign_reasoning = self.foreign_reasoning.saturating_add(1);
        }
        Aside { left_out, files: self.files.deliver(message) }
    }

    /// The message with its stored count, or a fresh one; a fresh one of a whole message is worth
    /// storing.
    fn read_of(&mut self, message: Message, aside: Aside, is_unrepaired: bool) -> Read {
        let (count, origin) = count_stored(self.request.counter, &message);
        let counted = Counted { tokens: count.tokens, provenance: count.provenance };
        let is_whole = is_unrepaired && !aside.is_something();
        if is_whole && origin == CountOrigin::Fresh {
            self.fresh_counts.push((message.id.clone(), count));
        }
        let Aside { left_out, files } = aside;
        Read { message, count: counted, left_out, files }
    }

    fn nothing(&self) -> Counted {
        Counted { tokens: Tokens::ZERO, provenance: self.request.counter.provenance() }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }
}

impl Aside {
    const fn is_something(&self) -> bool {
        !self.left_out.is_nothing() || self.files.is_some()
    }
}
