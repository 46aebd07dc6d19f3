//! Units: what is kept or dropped together.
//!
//! A tool call and its results are one unit, with everything between them; any other message is a
//! unit of its own. Works newest first, as history is read, and completes a unit as soon as its
//! call is found. Providers refuse a result without its call and a call without its result, so
//! both are taken out, and every such repair is reported.
//! Not here: which units fit (`fill`).

use chat_types::{ContentPart, Message, MessageId, Role};

/// The most messages that one unit may hold while its call is looked for: a turn makes at most a
/// few dozen tool rounds, and a result whose call is missing must not swallow the history.
pub const UNIT_MESSAGES_MAX: usize = 256;

/// Messages that are kept or dropped together.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Oldest first, never empty.
    pub messages: Vec<Message>,
}

/// What was wrong with a part that was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepairKind {
    /// A result whose call is not there.
    OrphanResult,
    /// A call that nothing answers.
    UnansweredCall,
}

/// A part that was taken out of its message; the stored message stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repair {
    /// The message it was in.
    pub message: MessageId,
    /// The call it belongs to.
    pub call_id: String,
    /// What was wrong.
    pub kind: RepairKind,
    /// Nothing was left of the message, so it was dropped.
    pub emptied: bool,
}

/// A result that still lacks its call.
#[derive(Clone, Debug)]
struct OpenResult {
    call_id: String,
    /// Index into `pending`.
    message: usize,
    /// Index into the message's parts.
    part: usize,
}

/// Groups messages into units, newest first.
///
/// A result looks for its call up to the next older message of the user (or the system) that
/// holds no results itself, or up to [`UNIT_MESSAGES_MAX`] messages: a call beyond is not its own.
#[derive(Clone, Debug, Default)]
pub struct UnitGrouper {
    /// Newest first; empty unless a result lacks its call.
    pending: Vec<Message>,
    open: Vec<OpenResult>,
    repairs: Vec<Repair>,
}

impl UnitGrouper {
    /// Groups from the newest message on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next older message; returns the units that are now complete, newest first.
    ///
    /// Usually that is one; none while a result lacks its call; several when a call is missing.
    #[must_use]
    pub fn push_older(&mut self, message: Message) -> Vec<Unit> {
        let mut done = Vec::new();
        if !self.open.is_empty() && ends_search(&message) {
            done = self.give_up();
        }
        let message = self.without_unanswered_calls(message);
        if let Some(message) = message {
            self.pending.push(message);
        }
        if self.open.is_empty() {
            done.extend(self.complete());
        } else if self.pending.len() >= UNIT_MESSAGES_MAX {
            done.extend(self.give_up());
        }
        done
    }

    /// There is no older message: returns what is left, newest first, and all repairs made.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Unit>, Vec<Repair>) {
        let units = self.give_up();
        (units, self.repairs)
    }

    /// Repairs made so far, in the order they were found.
    #[must_use]
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// Pairs the calls of `message` with open results, opens its own results, and takes out the
    /// calls that nothing newer answers. None if nothing is left.
    fn without_unanswered_calls(&mut self, mut message: Message) -> Option<Message> {
        let mut unanswered = Vec::new();
        // Within a message a call stands before its result, so parts are walked backwards too.
        for (part, content) in message.parts.iter().enumerate().rev() {
            match content {
                ContentPart::ToolResult { call_id, .. } => self.open.push(OpenResult {
                    call_id: call_id.clone(),
                    message: self.pending.len(),
                    part,
                }),
                ContentPart::ToolCall { call_id, .. } => {
                    let before = self.open.len();
                    self.open.retain(|open| &open.call_id != call_id);
                    if self.open.len() == before {
                        unanswered.push((part, call_id.clone()));
                    }
                }
                _ => {}
            }
        }
        if unanswered.is_empty() {
            return Some(message);
        }
        let taken: Vec<usize> = unanswered.iter().map(|(part, _)| *part).collect();
        remove_parts(&mut message, &taken);
        for open in &mut self.open {
            if open.message == self.pending.len() {
                let before = taken.iter().filter(|part| **part < open.part).count();
                open.part = open.part.saturating_sub(before);
            }
        }
        let emptied = message.parts.is_empty();
        self.note(&message.id, RepairKind::UnansweredCall, emptied, unanswered);
        (!emptied).then_some(message)
    }

    /// Takes out the results that lack their call and groups the rest anew.
    fn give_up(&mut self) -> Vec<Unit> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let open = std::mem::take(&mut self.open);
        let pending = std::mem::take(&mut self.pending);
        let mut regrouped = Self::new();
        let mut units = Vec::new();
        for (index, mut message) in pending.into_iter().enumerate() {
            let orphans: Vec<(usize, String)> = open
                .iter()
                .filter(|open| open.message == index)
                .map(|open| (open.part, open.call_id.clone()))
                .collect();
            if !orphans.is_empty() {
                let taken: Vec<usize> = orphans.iter().map(|(part, _)| *part).collect();
                remove_parts(&mut message, &taken);
                let emptied = message.parts.is_empty();
                self.note(&message.id, RepairKind::OrphanResult, emptied, orphans);
                if emptied {
                    continue;
                }
            }
            units.extend(regrouped.push_older(message));
        }
        // A message that lost its results may now end a search that it did not end before, so
        // more parts can fall out; each round takes at least one, so this ends.
        let (rest, repairs) = regrouped.finish();
        units.extend(rest);
        self.repairs.extend(repairs);
        units
    }

    fn complete(&mut self) -> Option<Unit> {
        let mut messages = std::mem::take(&mut self.pending);
        messages.reverse();
        (!messages.is_empty()).then_some(Unit { messages })
    }

    fn note(
        &mut self,
        message: &MessageId,
        kind: RepairKind,
        emptied: bool,
        parts: Vec<(usize, String)>,
    ) {
        let repairs = parts.into_iter().map(|(_, call_id)| Repair {
            message: message.clone(),
            call_id,
            kind,
            emptied,
        });
        self.repairs.extend(repairs);
    }
}

/// Groups a whole list, oldest first; returns units oldest first, and the repairs made.
#[must_use]
pub fn units(messages: Vec<Message>) -> (Vec<Unit>, Vec<Repair>) {
    let mut grouper = UnitGrouper::new();
    let mut units = Vec::new();
    for message in messages.into_iter().rev() {
        units.extend(grouper.push_older(message));
    }
    let (rest, repairs) = grouper.finish();
    units.extend(rest);
    units.reverse();
    (units, repairs)
}

/// A message of the user that is no tool result in a user's clothes: a turn begins with it.
pub(crate) fn starts_turn(message: &Message) -> bool {
    message.role == Role::User && ends_search(message)
}

/// No call of a newer result can stand before this message.
fn ends_search(message: &Message) -> bool {
    matches!(message.role, Role::User | Role::System)
        && !message.parts.iter().any(|part| matches!(part, ContentPart::ToolResult { .. }))
}

/// Takes out the parts at `taken`; counts stored for the whole message no longer hold.
fn remove_parts(message: &mut Message, taken: &[usize]) {
    let mut index = 0_usize;
    message.parts.retain(|_| {
        let keep = !taken.contains(&index);
        index = index.saturating_add(1);
        keep
    });
    message.token_counts.clear();
}
