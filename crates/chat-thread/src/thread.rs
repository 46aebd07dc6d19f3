//! The conversation as a tree, over messages in memory.
//!
//! Total: duplicates, orphans and cycles are read, never fatal. Every walk visits a message at
//! most once. Not here: reading a long branch from a store (`BranchReader`), copying (`fork`).

use std::collections::HashMap;

use chat_types::{ContentPart, Message, MessageId, Summary};

use crate::order::parents_first;
use crate::{Place, ThreadError};

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) message: Message,
    parent: Option<usize>,
    children: Vec<usize>,
    pub(crate) level: usize,
}

/// The tree of one conversation.
#[derive(Clone, Debug, Default)]
pub struct MessageThread {
    /// Parents before children.
    pub(crate) nodes: Vec<Node>,
    index: HashMap<MessageId, usize>,
    /// Without a parent, or with one that is not here; oldest first.
    roots: Vec<usize>,
}

/// A summary found on a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SummaryOnPath<'t> {
    /// The message that carries it.
    pub message: &'t Message,
    /// Which of its parts it is; how many parts it has, if the summary is kept with the whole
    /// message and not among them.
    pub part: usize,
    /// The summary, never blank.
    pub summary: &'t Summary,
}

impl SummaryOnPath<'_> {
    /// It is no part: it covers its message whole.
    #[must_use]
    pub fn is_kept_with_message(&self) -> bool {
        self.part == self.message.parts.len()
    }
}

/// A path with its older end replaced by a summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummarisedPath<'t> {
    /// Stands for everything before `messages`; none: nothing was summarised.
    pub summary: Option<SummaryOnPath<'t>>,
    /// What the summary does not cover, oldest first. The carrier of a summary part is always
    /// among them; parts of it up to that part are covered when the summary covers the carrier
    /// itself.
    pub messages: Vec<&'t Message>,
}

impl MessageThread {
    /// Reads messages in any order into normal form.
    ///
    /// Of two messages with one id the first wins. Afterwards parents precede children and
    /// siblings stand in order of creation (input order where equal). Normalising twice changes
    /// nothing.
    #[must_use]
    pub fn normalise(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut index = HashMap::new();
        let mut unique: Vec<Message> = Vec::new();
        for message in messages {
            if !index.contains_key(&message.id) {
                index.insert(message.id.clone(), unique.len());
                unique.push(message);
            }
        }
        // Stable, so equal moments keep the input order; everything below inherits it.
        unique.sort_by_key(|message| message.created_at);
        for (position, message) in unique.iter().enumerate() {
            index.insert(message.id.clone(), position);
        }
        let parents: Vec<Option<usize>> =
            unique.iter().map(|message| index.get(message.parent.as_ref()?).copied()).collect();
        let mut children = vec![Vec::new(); unique.len()];
        for (node, parent) in parents.iter().enumerate() {
            if let Some(below) = parent.and_then(|parent| children.get_mut(parent)) {
                below.push(node);
            }
        }
        let placed = parents_first(&parents, &children);
        let mut slots: Vec<Option<Message>> = unique.into_iter().map(Some).collect();
        let mut thread = Self::default();
        for place in placed {
            if let Some(message) = slots.get_mut(place.input).and_then(Option::take) {
                thread.index.insert(message.id.clone(), thread.nodes.len());
                thread.nodes.push(Node {
                    message,
                    parent: None,
                    children: Vec::new(),
                    level: place.level,
                });
            }
        }
        for position in 0..thread.nodes.len() {
            thread.link(position);
        }
        thread
    }

    /// Joins a node to its parent, or to the roots.
    fn link(&mut self, position: usize) {
        let Some(node) = self.nodes.get(position) else {
            return;
        };
        let created_at = node.message.created_at;
        let parent = node.message.parent.as_ref().and_then(|id| self.index.get(id).copied());
        if let Some(node) = self.nodes.get_mut(position) {
            node.parent = parent;
        }
        let mut siblings = match parent.and_then(|parent| self.nodes.get_mut(parent)) {
            Some(parent) => std::mem::take(&mut parent.children),
            None => std::mem::take(&mut self.roots),
        };
        let older = siblings.partition_point(|&sibling| {
            self.nodes.get(sibling).is_some_and(|node| node.message.created_at <= created_at)
        });
        siblings.insert(older, position);
        match parent.and_then(|parent| self.nodes.get_mut(parent)) {
            Some(parent) => parent.children = siblings,
            None => self.roots = siblings,
        }
    }

    /// Every message once, parents before children.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.nodes.iter().map(|node| &node.message)
    }

    /// The message of an id.
    #[must_use]
    pub fn message(&self, id: &MessageId) -> Option<&Message> {
        Some(&self.node(id)?.message)
    }

    pub(crate) fn node(&self, id: &MessageId) -> Option<&Node> {
        self.nodes.get(*self.index.get(id)?)
    }

    /// From `head` upwards, newest first; ends at the root, at a missing parent, or when a cycle
    /// closes. An unknown head, or none, gives nothing.
    pub fn ancestors(&self, head: Option<&MessageId>) -> impl Iterator<Item = &Message> {
        let mut seen = vec![false; if head.is_some() { self.nodes.len() } else { 0 }];
        let mut next = head.and_then(|id| self.index.get(id).copied());
        std::iter::from_fn(move || {
            let position = next?;
            let seen = seen.get_mut(position)?;
            if std::mem::replace(seen, true) {
                return None;
            }
            let node = self.nodes.get(position)?;
            next = node.parent;
            Some(&node.message)
        })
    }

    /// The branch that ends at `head`, oldest first; see [`MessageThread::ancestors`].
    #[must_use]
    pub fn path(&self, head: Option<&MessageId>) -> Vec<&Message> {
        let mut path: Vec<&Message> = self.ancestors(head).collect();
        path.reverse();
        path
    }

    /// Messages below `id`, oldest first.
    #[must_use]
    pub fn children(&self, id: &MessageId) -> Vec<&Message> {
        self.node(id).map_or_else(Vec::new, |node| self.at(&node.children))
    }

    /// Messages without a known parent, oldest first.
    #[must_use]
    pub fn roots(&self) -> Vec<&Message> {
        self.at(&self.roots)
    }

    /// `id` and what stands beside it, oldest first; empty if `id` is unknown.
    #[must_use]
    pub fn siblings(&self, id: &MessageId) -> Vec<&Message> {
        let Some(node) = self.node(id) else {
            return Vec::new();
        };
        match node.parent.and_then(|parent| self.nodes.get(parent)) {
            Some(parent) => self.at(&parent.children),
            None => self.roots(),
        }
    }

    fn at(&self, positions: &[usize]) -> Vec<&Message> {
        positions.iter().filter_map(|&position| Some(&self.nodes.get(position)?.message)).collect()
    }

    /// Messages with nothing below them, in normal order.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Message> {
        self.nodes
            .iter()
            .filter(|node| node.children.is_empty())
            .map(|node| &node.message)
            .collect()
    }

    /// How many messages lie above `id` on its path: 0 at a root.
    #[must_use]
    pub fn depth(&self, id: &MessageId) -> Option<usize> {
        self.ancestors(Some(id)).count().checked_sub(1)
    }

    /// The newest summary on the path to `head`. Blank ones are none; branches beside the path
    /// do not matter.
    #[must_use]
    pub fn summary_on_path(&self, head: Option<&MessageId>) -> Option<SummaryOnPath<'_>> {
        self.ancestors(head).find_map(|message| {
            let (part, summary) = newest_summary(message)?;
            Some(SummaryOnPath { message, part, summary })
        })
    }

    /// The path to `head` from its newest summary on.
    ///
    /// It starts after the message that the summary covers up to: of a summary that is kept with
    /// its message, after that one; of a summary part that names no message above its carrier, at
    /// the carrier.
    #[must_use]
    pub fn path_from_summary(&self, head: Option<&MessageId>) -> SummarisedPath<'_> {
        let mut messages = self.path(head);
        let summary = self.summary_on_path(head);
        if let Some(found) = &summary {
            let carrier = messages
                .iter()
                .position(|message| message.id == found.message.id)
                .unwrap_or_default();
            let after_covered = if found.is_kept_with_message() {
                carrier + 1
            } else {
                messages
                    .iter()
                    .take(carrier)
                    .position(|message| message.id == found.summary.covers_to)
                    .map_or(carrier, |covered| covered + 1)
            };
            messages.drain(..after_covered.min(messages.len()));
        }
        SummarisedPath { summary, messages }
    }

    /// Adds a message below its parent.
    ///
    /// # Errors
    /// `DuplicateId`, `UnknownParent` or `ForeignConversation`; the thread is as before.
    pub fn append(&mut self, message: Message) -> Result<(), ThreadError> {
        if self.index.contains_key(&message.id) {
            return Err(ThreadError::DuplicateId);
        }
        let level = match &message.parent {
            Some(parent) => {
                self.node(parent).ok_or(ThreadError::UnknownParent)?.level.saturating_add(1)
            }
            None => 0,
        };
        if self.nodes.first().is_some_and(|node| node.message.conversation != message.conversation)
        {
            return Err(ThreadError::ForeignConversation);
        }
        let position = self.nodes.len();
        self.index.insert(message.id.clone(), position);
        self.nodes.push(Node { message, parent: None, children: Vec::new(), level });
        self.link(position);
        Ok(())
    }

    /// Where a changed version of user message `id` goes; see [`Place::of_edit`].
    ///
    /// # Errors
    /// `NotFound` if it is unknown, else as there.
    pub fn edit(&self, id: &MessageId) -> Result<Place, ThreadError> {
        Place::of_edit(self.message(id).ok_or(ThreadError::NotFound)?)
    }

    /// Where another version of reply `id` goes; see [`Place::of_regenerate`].
    ///
    /// # Errors
    /// `NotFound` if it is unknown, else as there.
    pub fn regenerate(&self, id: &MessageId) -> Result<Place, ThreadError> {
        Place::of_regenerate(self.message(id).ok_or(ThreadError::NotFound)?)
    }

    /// Where the continuation of reply `id` goes and what it starts with; see
    /// [`Place::of_continue`].
    ///
    /// # Errors
    /// `NotFound` if it is unknown, else as there.
    pub fn continue_from(&self, id: &MessageId) -> Result<Place, ThreadError> {
        Place::of_continue(self.message(id).ok_or(ThreadError::NotFound)?)
    }
}

/// The newest summary of `message` that says something, with its place among the parts: the one
/// that is kept with the message, whose place is after all parts, else the last summary part.
#[must_use]
pub fn newest_summary(message: &Message) -> Option<(usize, &Summary)> {
    let kept = message.summary.as_ref().filter(|kept| !kept.text.trim().is_empty());
    if let Some(kept) = kept {
        return Some((message.parts.len(), kept));
    }
    let mut parts = message.parts.iter().enumerate().rev();
    parts.find_map(|(place, part)| match part {
        ContentPart::Summary { summary } if !summary.text.trim().is_empty() => {
            Some((place, summary))
        }
        _ => None,
    })
}
