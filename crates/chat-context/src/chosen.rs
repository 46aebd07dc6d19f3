//! What the ladder decided, joined with the messages that were read.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chat_truncation::{Fate, Gap, Plan, Planned, SummaryDue};
use chat_types::{ContentPart, ItemFate, Message, MessageId, Provenance};

use crate::history::History;
use crate::read::{Counted, Empty, Read};

/// A message that is sent.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) message: Message,
    pub(crate) count: Counted,
    pub(crate) fate: ItemFate,
    /// Why it is not whole, or how its files are sent; none: the section says why it is there.
    pub(crate) reason: Option<Cow<'static, str>>,
}

/// A message that was read and is not sent.
#[derive(Debug)]
pub(crate) struct NotSent {
    pub(crate) message: MessageId,
    pub(crate) count: Counted,
    pub(crate) fate: ItemFate,
    pub(crate) reason: &'static str,
}

/// Everything that was read, sorted by what becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Oldest first.
    pub(crate) history: Vec<Kept>,
    /// Oldest first.
    pub(crate) always: Vec<Kept>,
    /// Newest first.
    pub(crate) not_sent: Vec<NotSent>,
    pub(crate) cut_before: Option<MessageId>,
    pub(crate) summary_due: Option<SummaryDue>,
}

/// Joins the plan with what was read.
pub(crate) fn choose(history: &mut History<'_>, plan: Plan, provenance: Provenance) -> Chosen {
    let planned = plan.messages.into_iter().map(|planned| (planned.message.clone(), planned));
    let mut sorter =
        Sorter { planned: planned.collect(), gap: plan.gap, provenance, not_sent: Vec::new() };
    let always: Vec<Kept> = history.always.drain(..).filter_map(|read| sorter.sort(read)).collect();
    let in_place: HashSet<MessageId> =
        history.offered.iter().map(|read| read.message.id.clone()).collect();
    let mut kept: Vec<Kept> =
        history.offered.drain(..).filter_map(|read| sorter.sort(read)).collect();
    let reserved = history.reserved.drain(..).flat_map(|(_, unit)| unit);
    let reserved = reserved.filter(|read| !in_place.contains(&read.message.id));
    let mut front: Vec<Kept> = reserved.filter_map(|read| sorter.sort(read)).collect();
    kept.reverse();
    front.extend(kept);
    let mut not_sent: Vec<NotSent> = history.empty.drain(..).map(Into::into).collect();
    not_sent.extend(sorter.not_sent);
    history.notes.extend(plan.notes);
    Chosen {
        history: front,
        always,
        not_sent,
        cut_before: history.stopped_before.take().or(plan.cut_before),
        summary_due: plan.summary_due,
    }
}

struct Sorter {
    planned: HashMap<MessageId, Planned>,
    gap: Option<Gap>,
    provenance: Provenance,
    not_sent: Vec<NotSent>,
}

impl Sorter {
    /// The message as it is sent; none if it is not.
    fn sort(&mut self, read: Read) -> Option<Kept> {
        let Read { mut message, mut count, left_out, files } = read;
        let planned = self.planned.remove(&message.id)?;
        let mut fate = if left_out.is_nothing() { ItemFate::Kept } else { ItemFate::Trimmed };
        let mut reason = match files {
            Some(files) => Some(Cow::Owned(files)),
            None => (!left_out.is_nothing()).then(|| Cow::Borrowed(left_out.reason())),
        };
        match planned.fate {
            Fate::Drop { reason } => {
                let fate = ItemFate::Dropped;
                let reason = reason.as_str();
                self.not_sent.push(NotSent { message: message.id, count, fate, reason });
                return None;
            }
            Fate::Trim { parts, by } => {
                message.parts = parts;
                count = Counted { tokens: planned.tokens, provenance: self.provenance };
                fate = ItemFate::Trimmed;
                reason = Some(Cow::Borrowed(by.as_str()));
            }
            _ => {}
        }
        if let Some(gap) = self.gap.take_if(|gap| gap.before.as_ref() == Some(&message.id)) {
            message.parts.insert(0, ContentPart::text(gap.text));
            count.tokens = count.tokens.plus(gap.tokens);
        }
        Some(Kept { message, count, fate, reason })
    }
}

impl From<Empty> for NotSent {
    fn from(empty: Empty) -> Self {
        let fate = if empty.summarised { ItemFate::Summarised } else { ItemFate::Dropped };
        Self { message: empty.message, count: empty.count, fate, reason: empty.reason }
    }
}
